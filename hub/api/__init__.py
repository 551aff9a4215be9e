"""The API `/api/v1`: what the pages of the console show and do, for programs, as JSON.

One table of operations (`hub.api.table`) routes the requests, names the permission of each, and makes the OpenAPI
document. The reading functions are those of the pages (`hub.console`): the API has no query of its own but for its
tokens and its idempotency keys.
"""
