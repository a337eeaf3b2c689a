"""Forecasts of hourly means for the next hours, with intervals, shown only where they are better than naive ones. Pure."""
