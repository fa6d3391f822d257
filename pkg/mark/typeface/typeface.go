// Package typeface is the pack of fonts that marks are drawn in: Noto fonts for the scripts of living languages and some
// others, embedded, so that a mark looks the same on every machine. Fonts of the system are never used.
//
// A font is read when somebody first draws in it. make.py says where the fonts are from and how they were made, and
// SHA256SUMS what they are; they are under the SIL Open Font License, whose text is in LICENSE.
package typeface

import (
	"embed"
	"fmt"
	"sync"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
)

//go:embed noto
var noto embed.FS

// Version names the pack: the first 12 hexadecimal digits of the SHA-256 of SHA256SUMS.
const Version = "95d8e084c95e"

// PerEm is the number of units to the em that each of the fonts has.
const PerEm = 1000

// Typeface is one font of the pack. It is safe for concurrent use.
type Typeface struct {
	// Name is the font file's, and unique.
	Name string
	// Joining tells that letters of the script join or stack, so that their outlines may overlap.
	Joining bool

	parse func() (*font.Font, error)
}

func face(name string, joining bool) *Typeface {
	return &Typeface{Name: name, Joining: joining, parse: sync.OnceValues(func() (*font.Font, error) { return read(name) })}
}

// Font returns the font, and reads it the first time.
func (t *Typeface) Font() (*font.Font, error) { return t.parse() }

func read(name string) (*font.Font, error) {
	file, err := noto.Open("noto/" + name)
	if err != nil {
		return nil, fmt.Errorf("embedded font: %w", err)
	}
	data, ok := file.(opentype.Resource) // an embedded file is one, and is not copied as a whole
	if !ok {
		return nil, fmt.Errorf("embedded font %s cannot be read at random", name)
	}
	loader, err := opentype.NewLoader(data)
	if err != nil {
		return nil, fmt.Errorf("embedded font %s: %w", name, err)
	}
	f, err := font.NewFont(loader)
	if err != nil {
		return nil, fmt.Errorf("embedded font %s: %w", name, err)
	}
	if f.Upem() != PerEm {
		return nil, fmt.Errorf("embedded font %s has %d units to the em, want %d", name, f.Upem(), PerEm)
	}
	return f, nil
}

// Of returns the typeface for text in a script; nil if the pack has none.
func Of(script language.Script) *Typeface { return scripts[script] }

// Latin has, besides the letters, most of the punctuation, symbols and combining accents that all scripts share.
var Latin = face("NotoSans-Medium.ttf", false)

// Han has the characters of Chinese, Japanese and Korean, and symbols that come with them.
var Han = face("NotoSansCJK-Regular.otf", false)

// Arabic joins its letters, as do the others that say true; those that say false set one beside the other, at most with
// accents, which still may touch them.
var scripts = map[language.Script]*Typeface{
	language.Latin: Latin, language.Greek: Latin, language.Cyrillic: Latin,
	language.Han: Han, language.Hiragana: Han, language.Katakana: Han, language.Hangul: Han, language.Bopomofo: Han,

	language.Adlam:               face("NotoSansAdlam-Regular.ttf", true),
	language.Arabic:              face("NotoSansArabic-Medium.ttf", true),
	language.Armenian:            face("NotoSansArmenian-Medium.ttf", false),
	language.Balinese:            face("NotoSansBalinese-Medium.ttf", true),
	language.Bamum:               face("NotoSansBamum-Medium.ttf", false),
	language.Batak:               face("NotoSansBatak-Regular.ttf", true),
	language.Bengali:             face("NotoSansBengali-Medium.ttf", true),
	language.Buginese:            face("NotoSansBuginese-Regular.ttf", false),
	language.Buhid:               face("NotoSansBuhid-Regular.ttf", false),
	language.Canadian_Aboriginal: face("NotoSansCanadianAboriginal-Medium.ttf", false),
	language.Chakma:              face("NotoSansChakma-Regular.ttf", true),
	language.Cham:                face("NotoSansCham-Medium.ttf", true),
	language.Cherokee:            face("NotoSansCherokee-Medium.ttf", false),
	language.Coptic:              face("NotoSansCoptic-Regular.ttf", false),
	language.Deseret:             face("NotoSansDeseret-Regular.ttf", false),
	language.Devanagari:          face("NotoSansDevanagari-Medium.ttf", true),
	language.Ethiopic:            face("NotoSansEthiopic-Medium.ttf", false),
	language.Georgian:            face("NotoSansGeorgian-Medium.ttf", false),
	language.Gothic:              face("NotoSansGothic-Regular.ttf", false),
	language.Gujarati:            face("NotoSansGujarati-Medium.ttf", true),
	language.Gunjala_Gondi:       face("NotoSansGunjalaGondi-Regular.ttf", true),
	language.Gurmukhi:            face("NotoSansGurmukhi-Medium.ttf", true),
	language.Hanifi_Rohingya:     face("NotoSansHanifiRohingya-Medium.ttf", true),
	language.Hanunoo:             face("NotoSansHanunoo-Regular.ttf", false),
	language.Hebrew:              face("NotoSansHebrew-Medium.ttf", false),
	language.Javanese:            face("NotoSansJavanese-Regular.ttf", true),
	language.Kaithi:              face("NotoSansKaithi-Regular.ttf", true),
	language.Kannada:             face("NotoSansKannada-Medium.ttf", true),
	language.Kayah_Li:            face("NotoSansKayahLi-Medium.ttf", false),
	language.Khmer:               face("NotoSansKhmer-Medium.ttf", true),
	language.Lao:                 face("NotoSansLao-Medium.ttf", false),
	language.Lepcha:              face("NotoSansLepcha-Regular.ttf", true),
	language.Limbu:               face("NotoSansLimbu-Regular.ttf", false),
	language.Lisu:                face("NotoSansLisu-Medium.ttf", false),
	language.Malayalam:           face("NotoSansMalayalam-Medium.ttf", true),
	language.Mandaic:             face("NotoSansMandaic-Regular.ttf", true),
	language.Masaram_Gondi:       face("NotoSansMasaramGondi-Regular.ttf", true),
	language.Meetei_Mayek:        face("NotoSansMeeteiMayek-Medium.ttf", false),
	language.Miao:                face("NotoSansMiao-Regular.ttf", true),
	language.Mongolian:           face("NotoSansMongolian-Regular.ttf", true),
	language.Mro:                 face("NotoSansMro-Regular.ttf", false),
	language.Myanmar:             face("NotoSansMyanmar-Medium.ttf", true),
	language.New_Tai_Lue:         face("NotoSansNewTaiLue-Regular.ttf", false),
	language.Newa:                face("NotoSansNewa-Regular.ttf", true),
	language.Nko:                 face("NotoSansNKo-Regular.ttf", true),
	language.Ogham:               face("NotoSansOgham-Regular.ttf", true),
	language.Ol_Chiki:            face("NotoSansOlChiki-Medium.ttf", false),
	language.Oriya:               face("NotoSansOriya-Regular.ttf", true),
	language.Osage:               face("NotoSansOsage-Regular.ttf", false),
	language.Osmanya:             face("NotoSansOsmanya-Regular.ttf", false),
	language.Pahawh_Hmong:        face("NotoSansPahawhHmong-Regular.ttf", false),
	language.Pau_Cin_Hau:         face("NotoSansPauCinHau-Regular.ttf", false),
	language.Phags_Pa:            face("NotoSansPhagsPa-Regular.ttf", true),
	language.Rejang:              face("NotoSansRejang-Regular.ttf", false),
	language.Runic:               face("NotoSansRunic-Regular.ttf", false),
	language.Samaritan:           face("NotoSansSamaritan-Regular.ttf", false),
	language.Saurashtra:          face("NotoSansSaurashtra-Regular.ttf", true),
	language.Shavian:             face("NotoSansShavian-Regular.ttf", false),
	language.Sinhala:             face("NotoSansSinhala-Medium.ttf", true),
	language.Sora_Sompeng:        face("NotoSansSoraSompeng-Medium.ttf", false),
	language.Sundanese:           face("NotoSansSundanese-Medium.ttf", true),
	language.Syloti_Nagri:        face("NotoSansSylotiNagri-Regular.ttf", true),
	language.Syriac:              face("NotoSansSyriac-Regular.ttf", true),
	language.Tagalog:             face("NotoSansTagalog-Regular.ttf", false),
	language.Tagbanwa:            face("NotoSansTagbanwa-Regular.ttf", false),
	language.Tai_Le:              face("NotoSansTaiLe-Regular.ttf", false),
	language.Tai_Tham:            face("NotoSansTaiTham-Medium.ttf", true),
	language.Tai_Viet:            face("NotoSansTaiViet-Regular.ttf", false),
	language.Tamil:               face("NotoSansTamil-Medium.ttf", true),
	language.Telugu:              face("NotoSansTelugu-Medium.ttf", true),
	language.Thaana:              face("NotoSansThaana-Medium.ttf", false),
	language.Thai:                face("NotoSansThai-Medium.ttf", false),
	language.Tibetan:             face("NotoSerifTibetan-Medium.ttf", true),
	language.Tifinagh:            face("NotoSansTifinagh-Regular.ttf", false),
	language.Tirhuta:             face("NotoSansTirhuta-Regular.ttf", true),
	language.Vai:                 face("NotoSansVai-Regular.ttf", false),
	language.Wancho:              face("NotoSansWancho-Regular.ttf", false),
	language.Warang_Citi:         face("NotoSansWarangCiti-Regular.ttf", false),
	language.Yi:                  face("NotoSansYi-Regular.ttf", false),
}
