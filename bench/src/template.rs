//! Requests with random parts: as single requests, and as scripts for wrk.
//!
//! `@id@` stands for the id of a client, `@name@` for a name, `@code@` for the part of
//! an account code that ten clients share, and `@number@` for a number with nine digits.

use std::fmt::Write;

use crate::server::{Address, Request};

/// What random values are taken from.
pub struct Choices {
    /// The number of clients.
    pub clients: u32,
    /// Names of clients, which need no escapes in JSON.
    pub names: Vec<String>,
}

impl Choices {
    /// The last five digits that account codes begin with.
    #[must_use]
    pub fn last_code(clients: u32) -> u32 {
        (clients / 10).saturating_sub(1).min(99_999)
    }
}

/// A request with random parts in its body.
#[derive(Clone)]
pub struct Template {
    /// The path with its query.
    pub path: String,
    /// The body of a POST; without one it is a GET.
    pub body: Option<String>,
}

/// The random parts, each with the Lua expression that makes one.
fn parts(choices: &Choices) -> [(&'static str, String); 4] {
    let last_code = Choices::last_code(choices.clients);
    [
        ("@id@", format!("random(1, {})", choices.clients)),
        ("@name@", "names[random(#names)]".to_owned()),
        (
            "@code@",
            format!("format('c-%05d', random(0, {last_code}))"),
        ),
        (
            "@number@",
            "format('%09d', random(1, 999999999))".to_owned(),
        ),
    ]
}

impl Template {
    /// One of the requests that this stands for, another one for each `number`.
    #[must_use]
    pub fn sample(&self, choices: &Choices, number: u32) -> Request {
        // Steps that share no divisor with round numbers visit all parts of a range.
        let id = 1 + number.wrapping_mul(7_919) % choices.clients.max(1);
        let code = number.wrapping_mul(7_919) % (Choices::last_code(choices.clients) + 1);
        let name = choices
            .names
            .get(number as usize % choices.names.len().max(1));
        let body = self.body.as_ref().map(|body| {
            body.replace("@id@", &id.to_string())
                .replace("@name@", name.map_or("", String::as_str))
                .replace("@code@", &format!("c-{code:05}"))
                .replace("@number@", &format!("{number:09}"))
        });
        Request {
            path: self.path.clone(),
            body,
        }
    }
}

/// A script with which wrk sends the requests to a server, one of them at random if
/// there are several, and reports in one line.
#[must_use]
pub fn lua(requests: &[Template], choices: &Choices, address: &Address, seed: u32) -> String {
    let mut script = format!(
        "math.randomseed({seed})\n\
         local random, format = math.random, string.format\n\
         local names = {{ {} }}\n\
         local requests = {{\n",
        choices
            .names
            .iter()
            .map(|name| long_string(name))
            .collect::<Vec<_>>()
            .join(", ")
    );
    for request in requests {
        let method = if request.body.is_some() {
            "POST"
        } else {
            "GET"
        };
        let mut head = format!(
            "{method} {} HTTP/1.1\\r\\nHost: {}\\r\\nAuthorization: Bearer {}\\r\\n",
            request.path, address.host, address.token
        );
        // Writing to a String cannot fail.
        let _ = match &request.body {
            None => writeln!(script, "  function() return '{head}\\r\\n' end,"),
            Some(body) => {
                head.push_str("Content-Type: application/json\\r\\nContent-Length: ");
                let body = lua_body(body, choices);
                writeln!(
                    script,
                    "  function() local body = {body}\n    \
                     return '{head}' .. #body .. '\\r\\n\\r\\n' .. body end,"
                )
            }
        };
    }
    script.push_str(
        "}\n\
         if #requests == 1 then\n\
           request = requests[1]\n\
         else\n\
           request = function() return requests[random(#requests)]() end\n\
         end\n\
         function done(summary, latency)\n\
           local errors = summary.errors\n\
           print(format('result %d %d %d %d %d %d %d %.0f %.0f', summary.requests,\n\
             summary.duration, errors.connect, errors.read, errors.write, errors.status,\n\
             errors.timeout, latency:percentile(50), latency:percentile(99)))\n\
         end\n",
    );
    script
}

/// The Lua expression for a body: its fixed parts joined with the random ones.
fn lua_body(body: &str, choices: &Choices) -> String {
    let mut expression = long_string(body);
    for (part, value) in parts(choices) {
        expression = expression.replace(part, &format!("]==] .. {value} .. [==["));
    }
    expression
}

/// A Lua string in which nothing needs an escape.
fn long_string(text: &str) -> String {
    format!("[==[{text}]==]")
}
