"""Back-tests of forecasters on a DataFrame: forecasts from rolling origins, their scores, and pictures."""
