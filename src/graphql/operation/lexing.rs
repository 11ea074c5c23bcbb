//! Scans the tokens of a document before it is parsed: counts them, and finds what the parser
//! overlooks or does not know yet.

use apollo_parser::{Lexer, Token, TokenKind};

/// The result of a scan.
pub struct Tokens {
    /// How many there are (GraphQL specification, "Lexical Tokens").
    pub count: usize,
    /// The text with white space in place of the descriptions of operations, of fragments
    /// and of their variables (GraphQL specification of September 2025, "Descriptions").
    pub text: String,
}

/// Scans all tokens.
///
/// # Errors
/// A message about the first faulty token, and the offset at which the token begins.
pub fn scan(text: &str) -> Result<Tokens, (String, usize)> {
    let mut tokens = Vec::new();
    for token in Lexer::new(text) {
        use TokenKind::{Comma, Comment, Eof, Whitespace};
        let token = token.map_err(|error| (error.message().to_owned(), error.index()))?;
        if !matches!(token.kind(), Whitespace | Comment | Comma | Eof) {
            tokens.push(token);
        }
    }
    let mut out = text.to_owned();
    let mut open = Vec::new();
    let mut before = None;
    let mut descriptions = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let kind = token.kind();
        let next = tokens.get(index + 1);
        match kind {
            TokenKind::LParen | TokenKind::LCurly | TokenKind::LBracket => open.push(kind),
            TokenKind::RParen | TokenKind::RCurly | TokenKind::RBracket => {
                open.pop();
            }
            // The lexer does not check the first character of a string.
            TokenKind::StringValue if matches!(token.data().get(..2), Some("\"\n" | "\"\r")) => {
                return Err(("a string ends with its line".to_owned(), token.index()));
            }
            TokenKind::StringValue if is_description(&open, before, next) => {
                descriptions.push(token.index()..token.index() + token.data().len());
            }
            TokenKind::Name if lacks_value(&open, before, next) => {
                let message = format!("expected a value for {}", token.data());
                return Err((message, token.index()));
            }
            _ => {}
        }
        before = Some(kind);
    }
    for place in descriptions.into_iter().rev() {
        // The blanks are as long as the description, so that all other text keeps its place.
        let blank = |byte| match byte {
            b'\n' | b'\r' => char::from(byte),
            _ => ' ',
        };
        if let Some(description) = text.get(place.clone()) {
            out.replace_range(place, &description.bytes().map(blank).collect::<String>());
        }
    }
    Ok(Tokens {
        count: tokens.len(),
        text: out,
    })
}

/// Whether a string describes the operation, the fragment or the variable that follows.
fn is_description(open: &[TokenKind], before: Option<TokenKind>, next: Option<&Token<'_>>) -> bool {
    let Some(next) = next else { return false };
    match open {
        [] => {
            let is_first = matches!(before, None | Some(TokenKind::RCurly));
            is_first
                && matches!(
                    next.data(),
                    "query" | "mutation" | "subscription" | "fragment"
                )
        }
        [TokenKind::LParen] => before != Some(TokenKind::Eq) && next.kind() == TokenKind::Dollar,
        _ => false,
    }
}

/// Whether a name is that of an argument, or of a field of an input object, and has no value.
/// The parser would drop it silently.
fn lacks_value(open: &[TokenKind], before: Option<TokenKind>, next: Option<&Token<'_>>) -> bool {
    use TokenKind::{At, Colon, Dollar, Eq};
    let is_input = match open.last() {
        Some(TokenKind::LParen) => true,
        Some(TokenKind::LCurly) => open.contains(&TokenKind::LParen),
        _ => false,
    };
    let is_value = matches!(before, Some(Colon | Dollar | At | Eq));
    is_input && !is_value && next.map(Token::kind) != Some(Colon)
}
