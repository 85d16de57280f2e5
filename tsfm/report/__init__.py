"""A report of a results store: leaderboards, statistics, charts, failures and provenance, as HTML or Markdown."""
