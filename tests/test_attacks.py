"""The attack suite is as large as promised, every attack names what it defends, and the table is complete."""

import re

from tests.attacks import TABLE, attacks, table

SECTION = re.compile(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*|CIMD, Security Considerations")


def test_there_are_enough_different_attacks() -> None:
    found = attacks()
    assert len({attack.wanted for attack in found}) == len(found)
    assert len(found) >= 40


def test_every_attack_names_the_section_it_defends() -> None:
    assert [attack for attack in attacks() if not SECTION.fullmatch(attack.section)] == []


def test_the_table_of_attacks_is_the_one_that_the_tests_give() -> None:
    assert TABLE.read_text() == table()
