//! What `ganc explain CODE` prints: one page for each code, what it means and how to put it right.

mod syntax_pages;

/// The page of one code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// The code, `E0101`.
    pub code: &'static str,
    /// One line.
    pub title: &'static str,
    /// What it means, a wrong and a right example.
    pub text: &'static str,
}

/// The tables of all rooms, in the order of their codes. A room with codes of its own adds its table to this list.
const TABLES: &[&[Page]] = &[syntax_pages::PAGES, crate::model::codes::PAGES];

/// All pages.
pub fn all() -> impl Iterator<Item = &'static Page> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The page of a code, in upper or lower case.
pub fn page(code: &str) -> Option<&'static Page> {
    all().find(|page| page.code.eq_ignore_ascii_case(code.trim()))
}
