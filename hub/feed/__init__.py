"""Publishes events to RabbitMQ as CloudEvents."""
