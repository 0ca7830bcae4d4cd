//! Values of the form `NAME=VALUE`.

/// Parses one, at its first `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected an `=`")?;
    Ok((name.to_owned(), value.to_owned()))
}
