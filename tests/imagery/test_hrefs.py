"""Claims about addresses: they stand alone, and carry no secret."""

from __future__ import annotations

import pytest

from mapper.imagery.hrefs import absolute, own_link, unsigned

PLAIN = "https://host.org/a/B02.tif"


@pytest.mark.parametrize(
    "query",
    [
        "st=2024&se=2025&sp=rl&sv=2021&sr=c&skoid=x&sktid=y&skt=a&ske=b&sks=c&skv=d&sig=SECRET",
        "X-Amz-Algorithm=AWS4&X-Amz-Credential=SECRET&X-Amz-Signature=SECRET",
        "AWSAccessKeyId=SECRET&Expires=1&Signature=SECRET",
        "X-Goog-Signature=SECRET&X-Goog-Expires=1",
        "token=SECRET",
        "access_token=SECRET",
        "api_key=SECRET",
        "subscription-key=SECRET",
        "Policy=SECRET&Signature=SECRET&Key-Pair-Id=SECRET",
    ],
)
def test_signatures_of_every_house_are_taken_off(query: str) -> None:
    assert unsigned(f"{PLAIN}?{query}") == PLAIN
    assert unsigned(f"{PLAIN}?{query}&version=3") == f"{PLAIN}?version=3"


@pytest.mark.parametrize(
    "href",
    [PLAIN, f"{PLAIN}?version=3&st=north", "s3://eodata/a/B02.jp2", "/data/a?b/B02.tif", "a b.tif"],
)
def test_what_is_no_secret_stays(href: str) -> None:
    assert unsigned(href) == href


@pytest.mark.parametrize(
    ("href", "straight"),
    [
        ("https://host.org/./a/B02.tif", PLAIN),
        ("https://host.org/x/../a/./B02.tif", PLAIN),
        ("s3://bucket/./a/B02.tif", "s3://bucket/a/B02.tif"),
        ("https://host.org/a/B.02..tif?x=./y", "https://host.org/a/B.02..tif?x=./y"),
    ],
)
def test_dots_that_are_folders_are_resolved(href: str, straight: str) -> None:
    assert absolute(href, "/") == straight


@pytest.mark.parametrize(
    "href",
    [
        "/vsicurl/https://host.org/a/B02.tif",
        "/vsizip//vsicurl/https://host.org/a.zip/B02.tif",
        "/vsis3/bucket/a/B02.tif",
        "/vsis3/bucket/a?b/../B02.tif",
        "/vsicurl?use_head=no&url=https%3A%2F%2Fhost.org%2Fa%2FB02.tif%3Fversion%3D3",
    ],
)
@pytest.mark.parametrize("base", ["/data/items.json", "https://host.org/items", "s3://b/item.json"])
def test_what_gdal_calls_a_file_stays_as_it_is(href: str, base: str) -> None:
    assert unsigned(absolute(href, base)) == href


@pytest.mark.parametrize(
    ("href", "bare"),
    [
        ("/vsicurl/https://host.org/B02.tif?sig=SECRET", "/vsicurl/https://host.org/B02.tif"),
        (
            "/vsicurl/https://me:SECRET@host.org/B02.tif?v=3&token=SECRET",
            "/vsicurl/https://host.org/B02.tif?v=3",
        ),
        (
            "/vsizip/{/vsicurl/https://host.org/a.zip?sig=SECRET}/B02.tif",
            "/vsizip/{/vsicurl/https://host.org/a.zip}/B02.tif",
        ),
        ("/vsiaz/box/B02.tif?se=2025&sig=SECRET", "/vsiaz/box/B02.tif"),
        (
            "/vsicurl?userpwd=me:SECRET&header.Authorization=SECRET&cookie=SECRET&use_head=no"
            "&url=https%3A%2F%2Fhost.org%2FB02.tif%3Fsig%3DSECRET",
            "/vsicurl?use_head=no&url=https%3A%2F%2Fhost.org%2FB02.tif",
        ),
    ],
)
def test_what_gdal_calls_a_file_loses_its_signature(href: str, bare: str) -> None:
    assert unsigned(absolute(href, "/data/items.json")) == bare


@pytest.mark.parametrize("scheme", ["https", "s3", "gs", "az"])
@pytest.mark.parametrize(
    ("href", "found"),
    [
        ("B02.tif", "bucket/a/b/B02.tif"),
        ("./B02.tif", "bucket/a/b/B02.tif"),
        ("../B02.tif", "bucket/a/B02.tif"),
        ("/B02.tif", "bucket/B02.tif"),
        ("a%20b?version=3", "bucket/a/b/a%20b?version=3"),
    ],
)
def test_a_relative_address_starts_where_its_item_lies(scheme: str, href: str, found: str) -> None:
    own = f"{scheme}://bucket/a/b/item.json"
    assert own_link({"links": [{"rel": "self", "href": own}]}) == own
    assert absolute(href, own) == f"{scheme}://{found}"
    assert absolute("ftp://host.org/B02.tif", own) == "ftp://host.org/B02.tif"


@pytest.mark.parametrize("href", ["file:///a%20b/B02.tif", "file://localhost/a%20b/B02.tif"])
def test_the_address_of_a_file_becomes_its_path(href: str) -> None:
    assert absolute(href, "https://host.org/items") == "/a b/B02.tif"


def test_users_and_passwords_are_taken_off() -> None:
    assert unsigned("https://me:SECRET@host.org/a/B02.tif") == PLAIN
    assert unsigned("https://me:SECRET@host.org/a/B02.tif?version=3") == f"{PLAIN}?version=3"


def test_a_secret_cannot_hide_in_a_relative_address() -> None:
    assert unsigned(absolute("B02.tif?sig=SECRET", "https://host.org/a/items")) == PLAIN


def test_an_items_own_address_is_its_full_one() -> None:
    assert own_link({"links": [{"rel": "self", "href": "./item.json"}]}) is None
    assert own_link({"links": [{"rel": "self", "href": PLAIN}]}) == PLAIN
    assert own_link({}) is None
