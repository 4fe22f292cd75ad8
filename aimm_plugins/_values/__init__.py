"""What everything else is told in: actions, provenance, plugin records, findings, reports."""
