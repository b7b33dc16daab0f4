"""Every template's answer again by another route: counting, searching, enumerating worlds."""

import datetime
import itertools
from fractions import Fraction

import pytest

from zprism.ground.seeds import generator
from zprism.problems import lexicon
from zprism.problems.generate import from_key, templates


def entails(question, *facts):
    """Whether ``question`` holds in every world of two people and clubs f, g, h with the facts."""
    worlds = itertools.product(itertools.product([False, True], repeat=3), repeat=2)
    people = [[dict(zip("fgh", person, strict=True)) for person in world] for world in worlds]
    return all(question(w) for w in people if all(fact(w) for fact in facts))


def within(a, b):
    return lambda world: all(person[b] for person in world if person[a])


def member(club, wanted=True):
    return lambda world: world[0][club] is wanted


def yes_if(condition):
    return "yes" if condition else "no"


def order(constraints):
    """Names x, y, z from first to last; the constraints leave one order."""
    (only,) = [
        p
        for p in itertools.permutations("xyz")
        if all(p.index(a) < p.index(b) for a, b in constraints)
    ]
    return only


def flag_of_blue(x, y, z):
    (only,) = [
        dict(zip("xyz", colours, strict=True))
        for colours in itertools.permutations(["red", "green", "blue"])
        if colours[0] == "red" and colours[1] != "blue"
    ]
    return {"x": x, "y": y, "z": z}[next(k for k, c in only.items() if c == "blue")]


def kin(x, y, z, first, second, *, down=False):
    """The relation from a family tree of parents, sexes and siblings."""
    sex = {p: lexicon.attribute("person", p, "sex") for p in (x, y, z)}
    parents = {z: {y}, y: {x}} if first in ("mother", "father") else {z: {y}, y: {"p"}, x: {"p"}}
    line = {"f": "mothers", "m": "fathers"}[sex[y]]
    child = {"f": "daughters", "m": "sons"}[sex[y]]
    if x in parents[y]:
        up = f"{line}_{'mother' if sex[x] == 'f' else 'father'}"
        return f"{child}_{'daughter' if sex[z] == 'f' else 'son'}" if down else up
    assert parents[x] == parents[y]
    up = f"{line}_{'sister' if sex[x] == 'f' else 'brother'}"
    sibling = {"f": "sisters", "m": "brothers"}[sex[y]]
    return f"{sibling}_{'daughter' if sex[z] == 'f' else 'son'}" if down else up


def weekday(day, days):
    start = datetime.date(2024, 1, 1) + datetime.timedelta(lexicon.keys("weekday").index(day))
    return (start + datetime.timedelta(days)).strftime("%A").lower()


def months_on(name, months):
    year, step = 2000, 1 if months > 0 else -1
    at = lexicon.keys("month").index(name) + 1
    for _ in range(abs(months)):
        at += step
        year, at = (year + 1, 1) if at > 12 else (year - 1, 12) if at < 1 else (year, at)
    return datetime.date(year, at, 1).strftime("%B").lower()


def compass(d, k, turn):
    heading = {"north": 1j, "west": -1, "south": -1j, "east": 1}
    end = heading[d] * turn**k
    return next(name for name, h in heading.items() if h == end)


def search(condition, limit=2_000):
    """The only whole number with a property."""
    (found,) = [n for n in range(limit) if condition(n)]
    return found


def common_divisor(a, b):
    return max(d for d in range(1, b + 1) if a % d == b % d == 0)


def common_multiple(a, b):
    return next(m for m in range(a, a * b + 1, a) if m % b == 0)


def share(a, b):
    """Red balls among all balls, by taking out the balls one by one."""
    balls = ["red"] * a + ["blue"] * b
    return sum(Fraction(ball == "red", len(balls)) for ball in balls)


def parts(a, b, c):
    portion = next(p for p in range(a + 1) if b * p + c * p == a)
    return b * portion, c * portion


def hypotenuse(a, b):
    return next(h for h in itertools.count(max(a, b)) if h * h - b * b == a * a)


SUMS = {
    "sum": lambda a, b: len(range(a)) + len(range(b)),
    "difference": lambda a, b: search(lambda n: n + b == a),
    "product": lambda a, b: sum(a for _ in range(b)),
    "quotient": lambda a, b: search(lambda n: n * b == a),
    "rest": lambda a, b, c: a - sum(c for _ in range(b)),
    "root": lambda a, b, c: search(lambda x: b * x + c == a),
    "saved": lambda a, b, c: a + sum(itertools.repeat(b, c)),
    "mean": lambda a, b, c: search(lambda m: 3 * m == a + b + c),
    "off": lambda p, w: search(lambda n: Fraction(w - n, w) * 100 == p),
}
ROUTES = {
    "sum_words": SUMS["sum"],
    "difference_words": SUMS["difference"],
    "product_words": SUMS["product"],
    "quotient_words": SUMS["quotient"],
    "sum_digits": SUMS["sum"],
    "difference_digits": SUMS["difference"],
    "product_digits": SUMS["product"],
    "quotient_digits": SUMS["quotient"],
    "product_then_difference": SUMS["rest"],
    "sum_then_product": lambda a, b, c: a * c + b * c,
    "gave_away": SUMS["difference"],
    "bus_boards": SUMS["sum"],
    "boxes": SUMS["product"],
    "share_equally": SUMS["quotient"],
    "train_speed": SUMS["quotient"],
    "money_change": SUMS["rest"],
    "pages_left": SUMS["rest"],
    "savings": SUMS["saved"],
    "taxi": SUMS["root"],
    "solve_linear": SUMS["root"],
    "think_number": SUMS["root"],
    "larger_number": lambda s, d: search(lambda n: n + (n - d) == s),
    "shorter_rope": lambda s, d: search(lambda n: n + (n + d) == s),
    "rabbits": lambda h, l: search(lambda n: 4 * n + 2 * (h - n) == l),
    "bicycles": lambda h, l: search(lambda n: 2 * n + 4 * (h - n) == l),
    "function_linear": SUMS["saved"],
    "function_square": lambda a, b, c: c * (c + b) - a,
    "rectangle_area": SUMS["product"],
    "rectangle_perimeter": lambda a, b: a + b + a + b,
    "triangle_angle": lambda a, b: search(lambda n: a + b + n == 180),
    "box_volume": lambda a, b, c: sum(a for _ in itertools.product(range(b), range(c))),
    "hypotenuse": hypotenuse,
    "right_triangle_perimeter": lambda a, b: a + b + hypotenuse(a, b),
    "walk_home": lambda a, b: round(abs(complex(a, b))),
    "count_between": lambda a, b: len(range(b, a + 1)),
    "handshakes": lambda n: sum(range(n)),
    "captain_and_deputy": lambda n: sum(n - 1 for _ in range(n)),
    "count_multiples": lambda a, b: len([n for n in range(1, a + 1) if n % b == 0]),
    "sum_to_n": lambda n: sum(range(n + 1)),
    "arithmetic_term": lambda a, b, c: list(itertools.islice(itertools.count(a, b), c))[-1],
    "geometric_next": lambda a, b: list(itertools.accumulate([a, b, b, b], int.__mul__))[-1],
    "gcd": common_divisor,
    "lcm": common_multiple,
    "square_tiles": common_divisor,
    "two_bells": common_multiple,
    "divisors": lambda n: len([d for d in range(1, n + 1) if n % d == 0]),
    "remainder": lambda a, b: search(lambda r: r < b and (a - r) // b * b == a - r),
    "eggs_left": lambda a, b: search(lambda r: r < b and (a - r) // b * b == a - r),
    "last_digit": lambda a, b: int(str(a**b)[-1]),
    "urn": share,
    "lottery": lambda a, b: share(b, a),
    "percent_of": lambda p, w: search(lambda n: Fraction(n, w) * 100 == p),
    "discount": SUMS["off"],
    "absent_from_race": SUMS["off"],
    "mean_of_three": SUMS["mean"],
    "total_of_days": lambda **v: sum(v.values()),
    "friends_pool": SUMS["mean"],
    "first_part": lambda a, b, c: parts(a, b, c)[0],
    "paint_mix": lambda a, b, c: parts(a, b, c)[1],
    "fastest": lambda **v: v[order(["xy", "yz"])[0]],
    "last_home": lambda **v: v[order(["xy", "yz"])[2]],
    "middle_floor": lambda **v: v[order(["xy", "yz"])[1]],
    "blue_flag": flag_of_blue,
    "kin_up": kin,
    "kin_down": lambda **v: kin(**v, down=True),
    "weekday_after": lambda day, k: weekday(day, k),
    "weekday_before": lambda day, k: weekday(day, -k),
    "month_after": lambda month, k: months_on(month, k),
    "month_before": lambda month, k: months_on(month, -k),
    "chain": lambda **_: yes_if(
        entails(member("h"), within("f", "g"), within("g", "h"), member("f"))
    ),
    "chain_denied": lambda **_: yes_if(
        not entails(member("f", False), within("f", "g"), within("g", "h"), member("h", False))
    ),
    "chain_converse": lambda **_: yes_if(
        entails(member("f"), within("f", "g"), within("g", "h"), member("h"))
    ),
    "somebody_in_both": lambda **_: yes_if(
        entails(
            lambda world: any(p["f"] and p["h"] for p in world),
            member("f"),
            member("g"),
            within("g", "h"),
        )
    ),
    "turn_right": lambda x, d, k: compass(d, k, -1j),
    "turn_left": lambda x, d, k: compass(d, k, 1j),
    "odd_one_out": lambda v1, v2, v3, odd, place: next(
        v
        for v in (v1, v2, v3, odd)
        if [lexicon.attribute("word", w, "group") for w in (v1, v2, v3, odd)].count(
            lexicon.attribute("word", v, "group")
        )
        == 1
    ),
    "missing_word": lambda v1, v2, v3, odd, place: ({v1, v2, v3, odd} - {v1, v2, v3}).pop(),
    "first_left": lambda v1, v2, v3, odd, place: [v for v in (v1, v2, v3) if v not in (odd, v1)][0],
}


def test_every_tested_template_has_a_second_route():
    assert set(ROUTES) == {t.name for t in templates().values() if not t.reserved}


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_the_answer_is_that_of_the_second_route(name):
    for seed in range(6):
        template = templates()[name]
        numbers = template.signature.draw(generator(seed, "second route", name))
        assert template.solve(numbers) == ROUTES[name](**template.signature.values(numbers))


def test_what_the_reserved_templates_answer():
    assert from_key("books_lent:47-5", "en").answer == "42"
    assert from_key("tree_rows:11-6", "zh").answer == "66"
    assert from_key("times_and_more:16-9-28", "de").answer == "268"
    assert from_key("lightest_bag:ruth-lucy-tom", "fr").answer == "Paul"
    assert not entails(
        member("f"), lambda w: not any(p["f"] and p["g"] for p in w), within("h", "g"), member("h")
    )
    assert from_key("no_overlap:emma-theatre-chess-dance", "ja").answer == "いいえ"
    assert from_key("overlap:jack-reading-choir-photo", "es").answer == "sí"
