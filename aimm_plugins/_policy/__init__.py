"""From rules and candidates to a plan: what may be imported, in order; no plugin is imported."""
