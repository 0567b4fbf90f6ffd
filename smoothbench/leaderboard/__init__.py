"""A leaderboard made of records: checked submissions, rankings with ties, and static pages that open offline."""
