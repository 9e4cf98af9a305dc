"""How well an agent does: whole evaluation episodes, retention, statistics, and an environment's fitness."""
