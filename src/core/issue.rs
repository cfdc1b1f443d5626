//! stub
pub const BODY_CAP: usize = 60_000;
pub const TITLE_CAP: usize = 200;
pub fn fit(text: &str, cap: usize) -> String {
    crate::core::finding::cut(text, cap).to_owned()
}
pub fn replace_status(_: &str, _: &str) -> Option<String> {
    None
}
