"""Text as strangers write it: Unicode, dates, JSON and YAML, all within limits."""
