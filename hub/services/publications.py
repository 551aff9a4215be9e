"""The service `publications`: the sealed reports that a person has published.

Reads them as the service `reports` does. They bring no fact.
"""

from hub.services import Service, reports

NAME = "publications"

SERVICE = Service(name=NAME, read=reports.read_report_record, milestones=frozenset(), internal=True)
