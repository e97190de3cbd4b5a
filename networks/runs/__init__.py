"""A run's files while it trains: begun, resumed, recorded, measured again."""
