"""Text on the screen picture with a font that knows little: what it has not is written otherwise, or not at all.

Rules of this file:

* Never a wrong sign, never a question mark for a letter: a word of which a sign can be neither drawn nor written
  otherwise is left out whole.
* Kana are written in Latin letters (Hepburn, long vowels without mark), other letters without their accents.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

_KANA: Final = (
    "アa イi ウu エe オo カka キki クku ケke コko サsa シshi スsu セse ソso タta チchi ツtsu テte トto "
    "ナna ニni ヌnu ネne ノno ハha ヒhi フfu ヘhe ホho マma ミmi ムmu メme モmo ヤya ユyu ヨyo "
    "ラra リri ルru レre ロro ワwa ヰi ヱe ヲo ンn ガga ギgi グgu ゲge ゴgo ザza ジji ズzu ゼze ゾzo ダda ヂji "
    "ヅzu デde ドdo バba ビbi ブbu ベbe ボbo パpa ピpi プpu ペpe ポpo ヴvu"
)
KANA: Final = {pair[0]: pair[1:] for pair in _KANA.split()}
SMALL_Y: Final = {"ャ": "ya", "ュ": "yu", "ョ": "yo"}
SMALL_VOWEL: Final = {"ァ": "a", "ィ": "i", "ゥ": "u", "ェ": "e", "ォ": "o"}
LETTERS: Final = {
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
}
LETTERS_MORE: Final = {
    "đ": "d",
    "Đ": "D",
    "ı": "i",
    "þ": "th",
    "Þ": "Th",
    "–": "-",
    "—": "-",
    "’": "'",
    "・": " ",
}

Has = Callable[[str], bool]


def romanise(text: str) -> str:
    """Katakana in Latin letters; everything else stays."""
    out: list[str] = []
    double = False
    for sign in text:
        latin = KANA.get(sign, "")
        last = out[-1] if out else ""
        if sign == "ッ":
            double = True
            continue
        if sign == "ー" and out:
            continue
        if sign in SMALL_Y and last.endswith("i") and len(last) > 1:
            soft = last[:-1] in ("sh", "ch", "j", "ssh", "tch", "jj")
            out[-1] = last[:-1] + (SMALL_Y[sign][1:] if soft else SMALL_Y[sign])
            continue
        if sign in SMALL_VOWEL and len(last) > 1 and last[-1] in "aiueo":
            out[-1] = last[:-1] + SMALL_VOWEL[sign]
            continue
        if latin and double:
            latin = ("t" if latin.startswith("ch") else latin[0]) + latin
        double = False
        out.append(latin or sign)
    return "".join(out)


def _katakana(sign: str) -> str:
    return chr(ord(sign) + 0x60) if "ぁ" <= sign <= "ゖ" else sign


def drawable(text: str, has: Has) -> str:
    """``text`` with signs only that the font ``has``."""
    words = []
    for word in unicodedata.normalize("NFKC", text).split():
        plain = "".join(_katakana(sign) for sign in word)
        if plain != word or any(sign in KANA for sign in plain):
            plain = romanise(plain)
            plain = plain[:1].upper() + plain[1:]
        drawn = [_sign(sign, has) for sign in plain]
        if all(sign is not None for sign in drawn):
            words.append("".join(sign for sign in drawn if sign))
    return " ".join(words)


def _sign(sign: str, has: Has) -> str | None:
    """What stands for a sign, or None."""
    if has(sign):
        return sign
    other = LETTERS.get(sign) or LETTERS_MORE.get(sign)
    if other is None:
        parts = unicodedata.normalize("NFD", sign)
        other = "".join(p for p in parts if not unicodedata.combining(p))
    return other if other and all(has(p) for p in other) else None
