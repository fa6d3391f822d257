// Package removal attacks copies as anybody would who has common PDF tools and any watermarked PDF before them, and
// judges whether the mark came off. It is used by tests alone.
//
// The attacks were written without a look at how copies are made, and are to stay so: those on our own format stand apart,
// see Own, and are measured, not judged. Each is tried alone and together with dropping shared forms, on the copy as it is and on what qpdf makes of
// its contents; see Attacks.
//
// What a page would be without a mark is what the engine writes of its source, with nothing of the mark in it. An attack
// succeeds on a page when the page then looks exactly as the unmarked one does: poppler renders both at
// 100 dpi, in grey, cut to the crop box, and every pixel is the same. The unmarked page is never attacked. So:
//
//   - A page whose own content an attack ruined is no success, mark or not: whoever wants the document has lost it.
//   - A page that is blank after an attack counts only if the unmarked one is blank, too.
//   - An attack that finds nothing to do on a page leaves it as it was, and fails.
//
// What is measured beside it, but is no criterion: whether the attacked page differs visibly from the unmarked one, since
// a mark of which three pixels are left passes for one that is there; and whether the page still says whose copy it is.
//
// The tools qpdf and pdftoppm are run as they are, without a sandbox.
package removal
