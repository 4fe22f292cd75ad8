"""From source files to declarations, and to gaps where only a run could tell; none is run."""
