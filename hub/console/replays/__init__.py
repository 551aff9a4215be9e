"""Orders to replay deliveries and corrections: reads and steers them, for the pages and the API; and their pages."""
