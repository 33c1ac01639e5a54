"""Random numbers by address."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhsim.errors import InputError
from lhsim.streams import MAX_SEED, Purpose, bits, check_seed, philox, replication_seed, uniform

ONES = 0xFFFFFFFF

# "kat_vectors" of Random123, the reference implementation by Salmon et al.
REFERENCE = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((ONES,) * 4, (ONES,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]

seeds = st.integers(0, MAX_SEED)
entities = st.integers(0, 2**32 - 1)
indices = st.integers(0, 2**40)
purposes = st.sampled_from([int(purpose) for purpose in Purpose])


@pytest.mark.parametrize(("counter", "key", "words"), REFERENCE)
def test_the_generator_gives_its_published_vectors(counter, key, words):
    assert " ".join(f"{int(word):08x}" for word in philox(*counter, *key)) == words


def test_an_address_is_the_counter_and_the_seed_the_key():
    seed, index = 0x299F31D0A4093822, 0x85A308D3243F6A88
    first, second, _, _ = philox(
        0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0
    )
    assert bits(seed, 0x03707344, 0x13198A2E, np.uint64(index)) == (int(first) << 32) | int(second)


@given(seeds, purposes, entities, indices)
def test_a_draw_is_a_multiple_of_two_to_the_minus_53_below_one(seed, purpose, entity, index):
    u = uniform(seed, purpose, entity, index)
    assert 0 <= u < 1
    assert (u * 2**53).is_integer()
    assert type(u) is float


@given(seeds, purposes, entities, indices)
def test_a_neighbouring_address_has_another_draw(seed, purpose, entity, index):
    u = uniform(seed, purpose, entity, index)
    assert u != uniform(seed, purpose, entity, index + 1)
    assert u != uniform(seed, purpose, (entity + 1) % 2**32, index)
    assert u != uniform(seed, purpose + 1, entity, index)
    assert u != uniform(seed ^ 1, purpose, entity, index)


def test_draws_are_uniform_and_uncorrelated_along_each_coordinate():
    n = 20_000
    for addresses in (
        [(1, 3, 5, i) for i in range(n)],
        [(1, 3, i, 5) for i in range(n)],
        [(i, 3, 5, 7) for i in range(n)],
    ):
        u = np.array([uniform(*address) for address in addresses])
        counts = np.histogram(u, bins=100, range=(0, 1))[0]
        chi_squared = ((counts - n / 100) ** 2 / (n / 100)).sum()
        assert 46 < chi_squared < 177  # 99.9999 % of chi-squared with 99 degrees of freedom
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / np.sqrt(n)


def test_purposes_keep_their_numbers():
    numbers = [purpose.value for purpose in Purpose]
    assert numbers == sorted(set(numbers))
    assert (Purpose.REPLICATION, Purpose.QUERY, Purpose.COLLECTION) == (0, 16, 26)


def test_replications_of_neighbouring_seeds_share_no_seed():
    seeds = [replication_seed(seed, r) for seed in range(50) for r in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**53 for seed in seeds)  # exact in JSON


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.5, True, "1", None])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(InputError, match="seed"):
        check_seed(seed)
