#!/usr/bin/python3
"""Makes the pack of fonts in noto/ from Debian's packages: python3 make.py, on Debian 12 with python3-fonttools.

Every font is cut down to what marks need: no hinting, no vertical text, no features that are off unless asked for, and of
the names the copyright and the licence. The bytes depend on nothing but the packages below and the version of fontTools;
SHA256SUMS says what must come out, and typeface_test.go compares.
"""

import hashlib
import os
import subprocess
import sys
import tempfile

import fontTools
from fontTools import subset

HERE = os.path.dirname(os.path.abspath(__file__))
FONTTOOLS = "4.38.0"

# package, version, SHA-256 of the .deb
PACKAGES = [
    ("fonts-noto-core", "20201225-1", "58f4f0bb6720f919f92096b3508e1412a0f1544424ade6c5b5bf1eb694dd64ba"),
    ("fonts-noto-extra", "20201225-1", "a44b0c7b9e3c72caf4237ab46846652d6d6eea296abfe675f6f604b6562ffd40"),
    ("fonts-noto-cjk", "1:20220127+repack1-1", "4a2515eb6db3978b897fef9709ed0d2b1f4c6c4df4d83d6c4ef65f71f1b1f502"),
]

TRUETYPE = "usr/share/fonts/truetype/noto/"
CJK = "usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
SIMPLIFIED = 2  # the collection's face whose own forms are the simplified Chinese ones

# Medium where there is one: a mark is pale.
MEDIUM = """
Sans SansArabic SansArmenian SansBalinese SansBamum SansBengali SansCanadianAboriginal SansCham SansCherokee SansDevanagari
SansEthiopic SansGeorgian SansGujarati SansGurmukhi SansHanifiRohingya SansHebrew SansKannada SansKayahLi SansKhmer SansLao
SansLisu SansMalayalam SansMeeteiMayek SansMyanmar SansOlChiki SansSinhala SansSoraSompeng SansSundanese SansTaiTham SansTamil
SansTelugu SansThaana SansThai SerifTibetan
""".split()
REGULAR = """
SansAdlam SansBatak SansBuginese SansBuhid SansChakma SansCoptic SansDeseret SansGothic SansGunjalaGondi SansHanunoo
SansJavanese SansKaithi SansLepcha SansLimbu SansMandaic SansMasaramGondi SansMiao SansMongolian SansMro SansNKo SansNewTaiLue SansNewa
SansOgham SansOriya SansOsage SansOsmanya SansPahawhHmong SansPauCinHau SansPhagsPa SansRejang SansRunic SansSamaritan SansSaurashtra
SansShavian SansSylotiNagri SansSyriac SansTagalog SansTagbanwa SansTaiLe SansTaiViet SansTifinagh SansTirhuta SansVai SansWancho
SansWarangCiti SansYi
""".split()

HAN = 0xA000 - 0x4E00

# Features that HarfBuzz applies of itself to horizontal text.
FEATURES = """
ccmp locl rlig rclt calt clig liga kern mark mkmk curs dist abvm blwm
isol init medi fina fin2 fin3 med2 mset stch
nukt akhn rphf rkrf pref blwf abvf half pstf vatu cjct cfar pres abvs blws psts haln
ljmo vjmo tjmo rtlm rtla ltrm ltra
""".split()


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def fetch(work):
    for name, version, want in PACKAGES:
        subprocess.run(["apt-get", "download", f"{name}={version}"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        deb = [f for f in os.listdir(work) if f.startswith(name + "_")][0]
        got = digest(os.path.join(work, deb))
        if got != want:
            sys.exit(f"{name} {version} has SHA-256 {got}, want {want}")
        subprocess.run(["dpkg-deb", "-x", deb, "."], cwd=work, check=True)


def cut(source, target, languages=None, keep=lambda c: True, **options):
    o = subset.Options(
        hinting=False, layout_features=FEATURES, glyph_names=False, legacy_cmap=False, name_IDs=[0, 13, 14], notdef_outline=False, **options
    )
    o.drop_tables += ["BASE", "DSIG", "STAT", "VORG", "meta", "vhea", "vmtx"]
    font = subset.load_font(source, o)
    for table in ("vhea", "vmtx", "VORG"):
        if table in font:
            del font[table]
    if languages is not None:
        for record in font["GSUB"].table.ScriptList.ScriptRecord:
            script = record.Script
            script.LangSysRecord = [r for r in script.LangSysRecord if r.LangSysTag.strip() in languages]
            script.LangSysCount = len(script.LangSysRecord)
    s = subset.Subsetter(o)
    s.populate(unicodes=[c for c in font.getBestCmap() if keep(c)])
    s.subset(font)
    subset.save_font(font, target, o)


def regions():
    """Which of the characters from U+4E00 on tell where a text is from, as two bit sets: first those that only Japan's
    standard has, then those that Taiwan's has and mainland China's has not."""

    def has(codec, c):
        try:
            chr(c).encode(codec)
        except UnicodeEncodeError:
            return False
        return True

    japanese, traditional = bytearray(HAN // 8), bytearray(HAN // 8)
    for i in range(HAN):
        mainland, taiwan, japan = (has(codec, 0x4E00 + i) for codec in ("gb2312", "big5", "euc_jp"))
        if japan and not taiwan and not mainland:
            japanese[i // 8] |= 1 << i % 8
        if taiwan and not mainland:
            traditional[i // 8] |= 1 << i % 8
    return bytes(japanese + traditional)


def main():
    if fontTools.version != FONTTOOLS:
        sys.exit(f"fontTools is {fontTools.version}, want {FONTTOOLS}, whose bytes these are")
    out = os.path.join(HERE, "noto")
    os.makedirs(out, exist_ok=True)
    for old in os.listdir(out):
        os.remove(os.path.join(out, old))
    with tempfile.TemporaryDirectory() as work:
        fetch(work)
        for names, weight in ((MEDIUM, "Medium"), (REGULAR, "Regular")):
            for name in names:
                file = f"Noto{name}-{weight}.ttf"
                cut(os.path.join(work, TRUETYPE, file), os.path.join(out, file))
        cut(
            os.path.join(work, CJK), os.path.join(out, "NotoSansCJK-Regular.otf"), font_number=SIMPLIFIED,
            languages=("JAN", "KOR", "ZHT"), keep=lambda c: not 0x1F000 <= c < 0x20000,  # emoji are refused
        )
    with open(os.path.join(out, "regions.bin"), "wb") as f:
        f.write(regions())
    sums = "".join(f"{digest(os.path.join(out, f))}  {f}\n" for f in sorted(os.listdir(out)))
    with open(os.path.join(HERE, "SHA256SUMS"), "w") as f:
        f.write(sums)


if __name__ == "__main__":
    main()
