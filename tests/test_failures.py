from tests.failures import TABLE, failures, table


def test_the_table_of_failures_is_that_of_the_tests() -> None:
    assert TABLE.read_text() == table(), "run: make failures"


def test_all_that_can_happen_to_redis_and_to_the_authorization_server_is_tried() -> None:
    rows = failures()
    assert len({row.what for row in rows}) == len(rows)
    assert sum(row.what.startswith("Redis") for row in rows) == 5
    assert sum(row.what.startswith("The authorization server") for row in rows) == 6
