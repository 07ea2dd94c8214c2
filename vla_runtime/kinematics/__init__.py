"""Where an arm's links are, how its tool moves, and how near it comes to itself and the table. numpy only."""
