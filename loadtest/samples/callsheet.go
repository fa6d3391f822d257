package samples

import (
	"fmt"

	"github.com/go-pdf/fpdf"
)

// A table is what a call sheet is made of: a title bar, column heads and rows. Widths add up to the text width.
type table struct {
	title  string
	heads  []string
	widths []float64
	rows   [][]string
}

const (
	margin = 40.0
	width  = 8.5*inch - 2*margin
)

// callSheet makes the call sheet of one day.
func callSheet() ([]byte, error) {
	doc := newDocument("P", "Call sheet, day 12 of 38")
	latin := doc.UnicodeTranslatorFromDescriptor("")
	doc.SetMargins(margin, margin, margin)
	doc.AddPage()
	sheetHead(doc, latin)
	for _, t := range callTables[:4] {
		drawTable(doc, latin, t)
	}
	sheetFoot(doc, latin, "1 of 2")
	doc.AddPage()
	for _, t := range callTables[4:] {
		drawTable(doc, latin, t)
	}
	doc.SetFont("Helvetica", "B", 9)
	doc.MultiCell(width, 13, latin("SAFETY: rope and life jacket beyond the third post of the breakwater, for everybody, always. "+
		"No open flame within 10 m of the oil store; the lamps are dressed by the armourer only. Wind above 14 m/s at the "+
		"gallery stops the crane shot; Tomáš decides, and nobody argues."), "1", "L", false)
	sheetFoot(doc, latin, "2 of 2")
	return finish(doc)
}

func sheetHead(doc *fpdf.Fpdf, latin func(string) string) {
	doc.SetFont("Helvetica", "B", 20)
	doc.CellFormat(width*0.6, 24, "THE LAMPLIGHTERS", "", 0, "L", false, 0, "")
	doc.SetFont("Helvetica", "B", 14)
	doc.CellFormat(width*0.4, 24, "CALL SHEET - DAY 12 of 38", "", 1, "R", false, 0, "")
	doc.SetFont("Helvetica", "", 9)
	for _, pair := range [][2]string{
		{"Saltmarrow Pictures · 14 Chandler's Row · 555-0114", "Tuesday, 17 November 2026"},
		{"Director: Ana-Lucía Ferrão · 1st AD: Tomáš Rericha (555-0131)", "Blue draft, 2 November 2026"},
		{"Nearest hospital: St. Elmo's, 2 Cliff Road · 555-0199", "Sunrise 07:21 · Sunset 16:14 · High water 19:48"},
	} {
		doc.CellFormat(width*0.6, 12, latin(pair[0]), "", 0, "L", false, 0, "")
		doc.CellFormat(width*0.4, 12, latin(pair[1]), "", 1, "R", false, 0, "")
	}
	doc.Ln(6)
	doc.SetFillColor(28, 40, 60)
	doc.SetTextColor(255, 255, 255)
	doc.SetFont("Helvetica", "B", 15)
	doc.CellFormat(width, 26, "CREW CALL 12:30", "", 1, "C", true, 0, "")
	doc.SetTextColor(0, 0, 0)
	doc.SetFont("Helvetica", "", 9)
	doc.CellFormat(width, 16, latin("Breakfast 11:45 at base · Shooting call 14:00 · Lunch 18:30 · Estimated wrap 23:30"), "", 1, "C", false, 0, "")
	doc.CellFormat(width, 14, latin("Weather: rain until 15:00, then broken cloud · 7 °C, feels like 2 · Wind SW 9 m/s, gusts 13 · 80 % chance of everything"), "", 1, "C", false, 0, "")
	doc.Ln(6)
}

func drawTable(doc *fpdf.Fpdf, latin func(string) string, t table) {
	doc.SetFillColor(28, 40, 60)
	doc.SetTextColor(255, 255, 255)
	doc.SetFont("Helvetica", "B", 10)
	doc.CellFormat(width, 16, " "+latin(t.title), "", 1, "L", true, 0, "")
	doc.SetTextColor(0, 0, 0)
	doc.SetFillColor(214, 222, 232)
	doc.SetFont("Helvetica", "B", 8)
	for i, h := range t.heads {
		doc.CellFormat(t.widths[i], 13, latin(h), "1", 0, "L", true, 0, "")
	}
	doc.Ln(13)
	doc.SetFont("Helvetica", "", 8)
	doc.SetFillColor(244, 246, 249)
	for n, r := range t.rows {
		for i, text := range r {
			doc.CellFormat(t.widths[i], 13, latin(text), "1", 0, "L", n%2 == 1, 0, "")
		}
		doc.Ln(13)
	}
	doc.Ln(8)
}

func sheetFoot(doc *fpdf.Fpdf, latin func(string) string, page string) {
	doc.SetFont("Helvetica", "I", 7)
	doc.SetTextColor(90, 90, 90)
	doc.Text(margin, 11*inch-24, latin("Confidential. No forced calls without approval of the unit production manager. No photographs, no guests, no dogs except Biscuit."))
	number := fmt.Sprintf("Page %s", page)
	doc.Text(margin+width-doc.GetStringWidth(number), 11*inch-24, number)
	doc.SetTextColor(0, 0, 0)
}

var callTables = []table{
	{
		title: "SCENES", heads: []string{"Scene", "Set and description", "D/N", "Pages", "Cast", "Location"},
		widths: []float64{38, 236, 40, 40, 64, width - 418},
		rows: [][]string{
			{"4", "EXT. BREAKWATER - Maren finds the last lamp dark", "Night", "1 2/8", "1, 2", "Breakwater, post 61"},
			{"9pt", "EXT. BREAKWATER - the ARDENT strikes (plates)", "Night", "3/8", "-", "Breakwater, seaward"},
			{"46", "EXT. NORTH STAIRS - Toby runs", "Night", "6/8", "2, 2X", "North Stairs, landing 2"},
			{"118", "EXT. LIGHTHOUSE GALLERY - Ezra turns the lens", "Night", "1 1/8", "3", "Saltmarrow Light"},
			{"A118", "INT. LIGHTHOUSE - stairs, insert: hand on rail", "Night", "1/8", "3", "Saltmarrow Light"},
		},
	},
	{
		title: "CAST", heads: []string{"#", "Character", "Played by", "Pick-up", "Make-up", "On set", "Remarks"},
		widths: []float64{24, 104, 128, 48, 48, 48, width - 400},
		rows: [][]string{
			{"1", "MAREN VOSS", "Siobhán O'Dálaigh", "11:30", "12:15", "14:00", "Harness fitting 13:30"},
			{"2", "TOBY QUILL", "Max O", "11:45", "12:45", "14:00", "Minor: chaperone, out 20:00"},
			{"2X", "TOBY (stunts)", "R. Example", "12:00", "13:00", "16:30", "Wet suit under costume"},
			{"3", "EZRA THACKERAY", "H. B. Wolfeschlegel.", "14:00", "14:45", "17:30", "Lift to gallery, no stairs"},
			{"5", "CAPTAIN HALLORAN", "Íñigo de la Cruz", "-", "-", "-", "Hold, on 45 minutes"},
			{"7", "CORMAC DUFFY", "Bjørn Åse Ødegård", "13:15", "14:00", "15:30", "Boat handling with marine"},
		},
	},
	{
		title: "BACKGROUND AND STAND-INS", heads: []string{"No.", "Who", "Report", "On set", "Notes"},
		widths: []float64{30, 190, 60, 60, width - 340},
		rows: [][]string{
			{"9", "Lamplighters, own boots, no watches", "12:30", "14:00", "Ladders from props, numbered 1-9"},
			{"14", "Survivors, wet down from 15:00", "13:30", "15:30", "Heated tent B, two blankets each"},
			{"2", "Stand-ins for 1 and 3", "12:30", "13:30", ""},
			{"1", "Biscuit (dog), with handler", "14:00", "14:30", "Does not like the bell"},
		},
	},
	{
		title: "LOCATIONS", heads: []string{"", "Place", "Address", "Parking and access"},
		widths: []float64{24, 130, 180, width - 334},
		rows: [][]string{
			{"A", "Unit base", "Old Tram Depot, Tern Street 61", "Lot 1, trucks from 10:00"},
			{"B", "Breakwater", "Harbour gate 3", "Shuttle only, every 10 minutes"},
			{"C", "North Stairs", "Cliff Road, lower end", "Shuttle; tech vans 2 only"},
			{"D", "Saltmarrow Light", "Point Road", "Foot access 400 m; crane by 11:00"},
		},
	},
	{
		title: "DEPARTMENT CALLS", heads: []string{"Department", "Who", "Call", "Department", "Who", "Call"},
		widths: []float64{88, 130, 48, 88, 130, width - 484},
		rows: [][]string{
			{"Production", "A. Sample", "10:30", "Camera", "J. Weißhaupt", "12:00"},
			{"1st AD", "T. Rericha", "11:30", "Grip", "P. Sample, crew of 6", "11:00"},
			{"Locations", "D. Example", "09:30", "Electric", "I. Caglayan, crew of 8", "10:30"},
			{"Script supervisor", "S. Ota", "12:30", "Sound", "O. Shevchenko", "12:30"},
			{"Costume", "F. d'Aubigné", "11:00", "Make-up and hair", "L. Example + 3", "11:30"},
			{"Art", "S. Papadopoulou", "10:00", "Props", "G. Sample", "11:00"},
			{"Armourer", "K. Example", "12:00", "Special effects", "W. Sample: rain, 2 towers", "11:00"},
			{"Marine", "B. Example, 2 boats", "11:00", "Stunts", "A. Ioannou", "12:30"},
			{"VFX", "Þ. Guðmundsdóttir", "13:00", "Catering", "The Tin Cup, 96 meals", "10:00"},
			{"Medic", "Dr. P. Example", "11:30", "Security", "4, overnight at C", "16:00"},
		},
	},
	{
		title: "CONTACTS", heads: []string{"", "Name", "Telephone", "E-mail"},
		widths: []float64{150, 140, 80, width - 370},
		rows: [][]string{
			{"Production office", "A. Sample", "555-0114", "office@saltmarrow.example.com"},
			{"1st assistant director", "Tomáš Rericha", "555-0131", "tomas.rericha@example.com"},
			{"Locations, all night", "D. Example", "555-0142", "locations@saltmarrow.example.com"},
			{"Marine safety, channel 12", "B. Example", "555-0157", "marine@saltmarrow.example.com"},
			{"Transport captain", "R. Sample", "555-0163", "transport@saltmarrow.example.com"},
			{"Chaperone", "E. Example", "555-0170", "chaperone@saltmarrow.example.com"},
		},
	},
	{
		title: "ADVANCE SCHEDULE", heads: []string{"Day", "Date", "Scenes", "Set", "Location"},
		widths: []float64{40, 110, 80, 200, width - 430},
		rows: [][]string{
			{"13", "Wed 18 November", "120, 121", "EXT. BREAKWATER - the row, rope and ladder", "Breakwater"},
			{"14", "Thu 19 November", "122, 124", "EXT. BREAKWATER - four ships", "Breakwater"},
			{"15", "Fri 20 November", "31, 33pt", "INT. THE DROWNED ANCHOR", "Studio 2"},
			{"", "Sat 21 November", "", "Rest day. Really.", ""},
		},
	},
}
