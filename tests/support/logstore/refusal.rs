//! An error answer: status, `errorCode`, `errorMessage`. The pairs are those of the service's own tables.

/// Why a call is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into() }
    }

    /// 400 with this code.
    pub(super) fn bad(code: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(400, code, message)
    }

    /// 400 `ParameterInvalid`.
    pub(super) fn parameter(message: impl Into<String>) -> Refusal {
        Refusal::bad("ParameterInvalid", message)
    }

    /// 404 with this code.
    pub(super) fn absent(code: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(404, code, message)
    }

    /// The body as the service writes it.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "errorCode": self.code, "errorMessage": self.message })
    }
}
