// Package thumbnail makes pictures of pages with a recipient's mark on them: small ones of copies, as the function
// "thumbnail.Render", and previews of any page for who is about to send, as an RPC.
//
// What it guarantees:
//   - what is stored and what leaves carries the mark. The page without it is rendered once for each production, source,
//     page and width, whatever the mark and the format, is kept in this process's memory for as long as there is room,
//     and goes nowhere else;
//   - the mark is the copy's: text, outlines, places, tones and opacities come from pkg/mark, and where the page lies
//     from the watermark service's Placement. Rendered by poppler in the same size, 480 pixels wide, at the opacity that
//     a layout has by itself, the page of a copy, or of the document previewed as a whole, differs from a PNG by at most
//     1.5 of 255 in the mean, from a JPEG by at most 3.5, and in at most 1.5 % of the pixels by more than 24. On pages
//     smaller than a hand it is 4.5 and 6 %, since what is woven into copies is large there.
//     (Measured on 109 pages: PNG 0.43 at the median and 3.4 at most, JPEG 1.05 and 3.9; off by more than 24 are 0.4 % at
//     the median and 4.9 % at most.) A test of services/standalone holds that;
//   - sources are opened in a confined child process only: PDFs by poppler, PNGs and JPEGs by Go's decoders. The
//     picture's size is ours to choose: no page box makes it larger than the configuration allows;
//   - the same request gives the same bytes under the same key, and what was stored first stays. Previews are stored
//     nowhere;
//   - a source that cannot be rendered is refused for good, with a stable code. There is no stand-in picture: the step
//     is optional in a definition, and whoever shows thumbnails shows its own sign where there is none.
//
// What it does not: annotations paint over the mark in a copy and under it in a picture. What a copy has woven into its
// pages, the name once in small letters and a short zigzag line, is not drawn, and letters stand where they would without
// the hidden id, which moves each by less than a fiftieth of its size. Sources that name fonts without embedding them
// look as this machine's fonts make them.
//
// What a further recipient's picture costs is the mark and the blocks of the JPEG beneath it: the others are copied as
// they were coded for the first (package jpeg).
package thumbnail
