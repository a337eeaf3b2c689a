"""Eleven jobs done as a newcomer does them: from README and docs alone, in a shell and a browser."""
