"""What happens in the sample province: documents, dossiers, meetings, incidents, as values."""
