//! `${env:X}`, `${file:X}` and `${credential:X}` in a text; `$${` stands for `${`. Pure: only cuts the text
//! into pieces; what a reference stands for is asked of `Outside`.

use std::path::{Path, PathBuf};

/// What parsing may ask of the world, given as an argument so that parsing itself does no I/O.
pub(crate) struct Outside<'a> {
    /// The absolute folder that relative paths start from.
    pub(crate) folder: &'a Path,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    /// What `${name}` stands for in scripts.
    pub(crate) vars: &'a super::Vars,
    /// The file can be read by every user of the machine, so a password has no place in it.
    pub(crate) exposed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Env(String),
    File(String),
    Credential(String),
}

/// Why a text can't be cut. The texts quote nothing but a reference's kind, never what stands around it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VariableError {
    #[error("a \"${{\" without its \"}}\"; write \"$${{\" for the two letters themselves")]
    Unclosed,
    #[error(
        "a \"${{…}}\" that is none of ${{env:NAME}}, ${{file:PATH}}, ${{credential:NAME}}; write \"$${{\" for the two letters themselves"
    )]
    UnknownKind,
    #[error("a variable name that is not letters, digits and \"_\" in ${{env:…}}")]
    BadName,
    #[error("an empty path in ${{file:…}}")]
    EmptyPath,
    #[error("a name with \"/\" or none at all in ${{credential:…}}")]
    BadCredential,
}

/// Cuts `text`; a text without references is one piece.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, VariableError> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        plain.push_str(before);
        let inner = from.get(2..).unwrap_or_default();
        let end = inner.find('}').ok_or(VariableError::Unclosed)?;
        let (reference, behind) = inner.split_at(end);
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(parse_reference(reference)?);
        rest = behind.get(1..).unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn parse_reference(reference: &str) -> Result<Piece, VariableError> {
    let (kind, name) = reference.split_once(':').ok_or(VariableError::UnknownKind)?;
    match kind {
        "env" => {
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let good = !name.is_empty() && name.bytes().all(word);
            if good { Ok(Piece::Env(name.to_owned())) } else { Err(VariableError::BadName) }
        }
        "file" if name.is_empty() => Err(VariableError::EmptyPath),
        "file" => Ok(Piece::File(name.to_owned())),
        "credential" if name.is_empty() || name.contains('/') || name.starts_with('.') => {
            Err(VariableError::BadCredential)
        }
        "credential" => Ok(Piece::Credential(name.to_owned())),
        _ => Err(VariableError::UnknownKind),
    }
}

impl Outside<'_> {
    /// `path` as an absolute one, seen from the file's folder.
    pub(crate) fn absolute(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The text a piece stands for, or what is wrong, as a sentence that quotes no text.
    pub(crate) fn resolve(&self, piece: &Piece) -> Result<String, String> {
        match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Env(name) => {
                (self.env)(name).ok_or_else(|| format!("the environment variable \"{name}\" is not set"))
            }
            Piece::File(path) => self.read_trimmed(&self.absolute(path)),
            Piece::Credential(name) => self.read_trimmed(&self.credential_path(name)?),
        }
    }

    /// The file that a piece is read from, checked to be readable and not empty. `None`: it is no file.
    pub(crate) fn secret_file(&self, piece: &Piece) -> Result<Option<PathBuf>, String> {
        let path = match piece {
            Piece::Text(_) | Piece::Env(_) => return Ok(None),
            Piece::File(path) => self.absolute(path),
            Piece::Credential(name) => self.credential_path(name)?,
        };
        let text = self.read_trimmed(&path)?;
        if text.is_empty() {
            return Err(format!("the file \"{}\" is empty", path.display()));
        }
        Ok(Some(path))
    }

    fn credential_path(&self, name: &str) -> Result<PathBuf, String> {
        let folder = (self.env)("CREDENTIALS_DIRECTORY").ok_or_else(|| {
            format!("the credential \"{name}\" is not there: $CREDENTIALS_DIRECTORY is not set (systemd sets it for a unit with LoadCredential={name}:PATH)")
        })?;
        Ok(Path::new(&folder).join(name))
    }

    fn read_trimmed(&self, path: &Path) -> Result<String, String> {
        match (self.read)(path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(e) => Err(format!("the file \"{}\" can't be read: {e}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_references() {
        let text = |t: &str| Piece::Text(t.to_owned());
        for (from, expected) in [
            ("", vec![text("")]),
            ("plain $5 {x}", vec![text("plain $5 {x}")]),
            ("${env:A}", vec![Piece::Env("A".to_owned())]),
            ("a${env:B_1}c", vec![text("a"), Piece::Env("B_1".to_owned()), text("c")]),
            ("${file:/x y}${credential:k}", vec![Piece::File("/x y".to_owned()), Piece::Credential("k".to_owned())]),
            ("$${env:A}", vec![text("${env:A}")]),
            ("a$${b} ${env:C}", vec![text("a${b} "), Piece::Env("C".to_owned())]),
        ] {
            assert_eq!(pieces(from), Ok(expected), "{from}");
        }
    }

    #[test]
    fn a_reference_that_is_none_is_refused() {
        for (from, expected) in [
            ("${env:A", VariableError::Unclosed),
            ("${HOME}", VariableError::UnknownKind),
            ("${vault:x}", VariableError::UnknownKind),
            ("${env:}", VariableError::BadName),
            ("${env:A-B}", VariableError::BadName),
            ("${file:}", VariableError::EmptyPath),
            ("${credential:../x}", VariableError::BadCredential),
        ] {
            assert_eq!(pieces(from), Err(expected), "{from}");
        }
    }
}
