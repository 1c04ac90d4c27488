"""Proof of webhooks: signatures as the specification makes them, fixed headers, and everything that is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.support.webhooks import HEADER, SECRET, signed
from worker.settings import RemoteSettings
from worker.web.proof import TOLERANCE_S, NotProven, Proof

NOW = 1_800_000_000.0
BODY = b'{"a": 1}'
OTHER = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg=="

#: The reference vector that the libraries of Standard Webhooks share.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_AT = 1614265330.0
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def proof(secret: str | None = SECRET, header: str | None = None) -> Proof:
    """What a remote with these settings must show."""
    return Proof.of(
        RemoteSettings(
            kind="crm",
            base_url="http://127.0.0.1:9",
            webhook_secret=SecretStr(secret) if secret else None,
            webhook_header=SecretStr(header) if header else None,
        )
    )


def why_not(asked: Proof, headers: dict[str, str], body: bytes = BODY, now: float = NOW) -> str | None:
    """The sentence that this webhook is refused with; None when it is not."""
    wire = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    try:
        signature = asked.check_head(wire, now)
        if signature is not None:
            signature.check(body, asked.keys)
    except NotProven as error:
        return str(error)
    return None


def test_the_reference_vector_is_accepted() -> None:
    """
    Signatures that other implementations make are ours too; for another body they are nobody's.
    """
    asked = proof(VECTOR_SECRET)

    assert why_not(asked, VECTOR, VECTOR_BODY, VECTOR_AT) is None
    assert why_not(asked, VECTOR, VECTOR_BODY.replace(b" ", b""), VECTOR_AT) is not None


def test_one_of_several_signatures_is_enough() -> None:
    """
    A sender that changes its secret signs with both; versions that we do not know are skipped.
    """
    good = VECTOR["webhook-signature"]
    several = f"v1a,{good[3:]} v1,AAAA v1, v2 {good}"

    assert why_not(proof(VECTOR_SECRET), VECTOR | {"webhook-signature": several}, VECTOR_BODY, VECTOR_AT) is None


@pytest.mark.parametrize("between", [",", " ", ", ", "\n"])
def test_two_secrets_are_accepted_while_one_is_changed(between: str) -> None:
    """
    Ours is changed in three steps: old, both, new; a retired secret proves nothing.
    """
    both, new = proof(f"{SECRET}{between}{OTHER}"), proof(OTHER)
    old_one, new_one = (signed(BODY, secret=secret, at=NOW) for secret in (SECRET, OTHER))

    assert [None, None] == [why_not(both, one) for one in (old_one, new_one)]
    assert why_not(new, new_one) is None
    assert why_not(new, old_one) is not None


@pytest.mark.parametrize("age_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_clocks_may_differ_by_five_minutes(age_s: int) -> None:
    """
    Either way, and not a second more.
    """
    beyond = age_s + (1 if age_s >= 0 else -1)

    assert why_not(proof(), signed(BODY, at=NOW - age_s)) is None
    assert (why_not(proof(), signed(BODY, at=NOW - beyond)) is None) == (age_s == 0)


@pytest.mark.parametrize(
    "stamp", ["", "1800000000.0", "1.8e9", " 1800000000", "+1800000000", "0x6b49d200", "٣", "9" * 99]
)
def test_only_whole_seconds_are_a_time(stamp: str) -> None:
    """
    What other parsers would take for a number is no time here, however it is signed.
    """
    headers = signed(BODY, at=NOW) | {"webhook-timestamp": stamp}

    assert "webhook-timestamp: expected whole seconds since 1970" == why_not(proof(), headers)


@pytest.mark.parametrize("id", ["", "a b", "a.1800000000", "é", "x" * 257])
def test_an_id_cannot_reach_into_what_follows(id: str) -> None:
    """
    Id, time and body are signed with full stops between them, so none may be in the id.
    """
    assert "webhook-id" in str(why_not(proof(), signed(BODY, id=id, at=NOW)))


@pytest.mark.parametrize("name", list(VECTOR))
def test_each_header_comes_once(name: str) -> None:
    """
    Without it nothing is proven; twice, it could be read in two ways.
    """
    headers = [(one.encode(), value.encode()) for one, value in signed(BODY, at=NOW).items()]
    this = [one for one in headers if one[0] == name.encode()]
    others = [one for one in headers if one not in this]

    for some in (others, others + this + this):
        with pytest.raises(NotProven, match=f"^{name}: expected this header, once$"):
            proof().check_head(some, NOW)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v1,!", "v1,a,b", "v1a,x", "v1, ,", "\xff"])
def test_what_is_no_signature_proves_nothing(signature: str) -> None:
    """
    Also what makes the reference library raise.
    """
    assert "webhook-signature" in str(why_not(proof(), signed(BODY, at=NOW) | {"webhook-signature": signature}))


@pytest.mark.parametrize("value", ["", "open sesam", "open sesame!", "OPEN SESAME"])
def test_a_fixed_header_must_be_right(value: str) -> None:
    """
    The whole value, letter for letter; the name in any case.
    """
    asked = proof(None, HEADER)

    assert why_not(asked, {"x-hook-key": "open sesame"}) is None
    assert "x-hook-key" in str(why_not(asked, {"x-hook-key": value}))
    assert "x-hook-key" in str(why_not(asked, {}))


def test_with_secret_and_header_both_are_asked_for() -> None:
    """
    Setting one more proof never makes it easier.
    """
    asked, header = proof(SECRET, HEADER), {"x-hook-key": "open sesame"}

    assert why_not(asked, signed(BODY, at=NOW) | header) is None
    assert why_not(asked, signed(BODY, at=NOW)) is not None
    assert why_not(asked, header) is not None


def test_without_settings_nothing_is_proven() -> None:
    """
    No secret is not an empty secret.
    """
    empty = signed(BODY, secret="", at=NOW)

    assert "neither webhook_secret nor webhook_header" in str(why_not(proof(None), empty))


@given(
    st.lists(st.tuples(st.sampled_from([*map(str.encode, VECTOR), b"x-hook-key"]), st.binary()), max_size=5),
    st.binary(max_size=50),
)
def test_strangers_are_refused_and_nothing_else_happens(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """
    Whatever bytes the headers hold, the only exception is `NotProven`.
    """
    asked = proof(SECRET, HEADER)
    try:
        signature = asked.check_head(headers, NOW)
        assert signature is not None
        signature.check(body, asked.keys)
    except NotProven:
        return
    pytest.fail("a stranger was believed")
