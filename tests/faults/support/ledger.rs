//! What callers were promised: writers that note every answer, and the comparison with
//! what is there afterwards.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode, header::IF_MATCH};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Client, Gateway, client_body, until};

/// An update follows after so many new clients.
const CREATES_FOR_AN_UPDATE: u64 = 4;
/// How long a writer rests after it was refused, or got no answer.
const REST: Duration = Duration::from_millis(20);
/// How long a write that was cut off may hold up readers of the log.
const LOG_IS_WHOLE: Duration = Duration::from_secs(30);

/// The notes that a client may have: more than one if nobody knows whether an update
/// has happened.
type Notes = HashSet<String>;

#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

/// A client whose creation was acknowledged.
struct Promise {
    id: i64,
    notes: Notes,
    /// Updates that were acknowledged.
    updates: i64,
}

#[derive(Default)]
struct Entries {
    /// By account code.
    created: HashMap<String, Promise>,
    /// Account codes that were sent, and got another answer or none.
    open: HashMap<String, String>,
    updated: u64,
    /// How often each came instead of what was asked for.
    refused: BTreeMap<String, u64>,
    longest: Duration,
}

/// What was counted.
#[derive(Debug)]
pub struct Count {
    pub acknowledged: usize,
    pub updated: u64,
    /// Entries in the log of changes.
    pub changes: usize,
    /// Of those without a promise, how many are there all the same.
    pub open: usize,
    pub open_but_there: usize,
    pub refused: BTreeMap<String, u64>,
    pub longest: Duration,
}

/// Writers at work, until they are told to stop.
pub struct Storm {
    stop: CancellationToken,
    writers: JoinSet<()>,
    address: Arc<Mutex<Client>>,
}

impl Storm {
    /// The gateway has another address now.
    pub fn goes_to(&self, gateway: &Gateway) {
        *self.address.lock().unwrap() = gateway.client();
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.writers.join_all().await;
    }
}

impl Ledger {
    /// Starts writers that go on whatever happens. Their account codes begin with
    /// `prefix`.
    pub fn storm(&self, gateway: &Gateway, prefix: &str, writers: u32) -> Storm {
        let stop = CancellationToken::new();
        let address = Arc::new(Mutex::new(gateway.client()));
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let (ledger, stop, address) = (self.clone(), stop.clone(), Arc::clone(&address));
            let prefix = format!("{prefix}-{writer}");
            tasks.spawn(async move {
                for number in 0.. {
                    if stop.is_cancelled() {
                        break;
                    }
                    let client = address.lock().unwrap().clone();
                    ledger.write(&client, &prefix, number).await;
                }
            });
        }
        Storm {
            stop,
            writers: tasks,
            address,
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.0.lock().unwrap().created.len()
    }

    /// What was created, here or elsewhere.
    pub fn promise(&self, code: &str, id: i64) {
        let promise = Promise {
            id,
            notes: Notes::from([format!("notes of {code}")]),
            updates: 0,
        };
        let mut entries = self.0.lock().unwrap();
        entries.open.remove(code);
        entries.created.insert(code.to_owned(), promise);
    }

    /// Waits until so many more clients were created.
    pub async fn grows_by(&self, clients: usize) {
        let enough = self.acknowledged() + clients;
        let limit = Duration::from_secs(20);
        until("writes succeed", limit, async || {
            self.acknowledged() >= enough
        })
        .await;
    }

    async fn write(&self, client: &Client, prefix: &str, number: u64) {
        let code = format!("{prefix}-{number}");
        // Noted before it is sent.
        self.open(&code, "no answer yet");
        let body = client_body(&code);
        let answer = client
            .send(Method::POST, "/api/v1/clients", Some(&body))
            .await;
        let is_created = match answer {
            Ok(answer) => {
                self.took(answer.took);
                if answer.status == StatusCode::CREATED {
                    let id = answer.json()["id"].as_i64().unwrap();
                    self.promise(&code, id);
                    true
                } else {
                    self.refuse(&answer);
                    self.open(&code, answer.status.as_str());
                    false
                }
            }
            Err(why) => {
                self.missed(why);
                false
            }
        };
        if !is_created {
            tokio::time::sleep(REST).await;
        } else if number.is_multiple_of(CREATES_FOR_AN_UPDATE) {
            self.update(client, &code).await;
        }
    }

    /// Updates the first version of a client, which nobody else writes.
    async fn update(&self, client: &Client, code: &str) {
        let id = {
            let mut entries = self.0.lock().unwrap();
            let promise = entries.created.get_mut(code).unwrap();
            promise.notes.insert(format!("new notes of {code}"));
            promise.id
        };
        let notes = format!("new notes of {code}");
        let body = json!({ "client": { "notes": notes } });
        let path = format!("/api/v1/clients/{id}");
        let version = (IF_MATCH, "\"1\"");
        match client.send_with(version, Method::PUT, &path, &body).await {
            Ok(answer) => {
                self.took(answer.took);
                if answer.status == StatusCode::OK {
                    let mut entries = self.0.lock().unwrap();
                    entries.updated += 1;
                    let promise = entries.created.get_mut(code).unwrap();
                    promise.notes = Notes::from([notes]);
                    promise.updates += 1;
                } else {
                    self.refuse(&answer);
                }
            }
            Err(why) => self.missed(why),
        }
    }

    fn open(&self, code: &str, why: &str) {
        let mut entries = self.0.lock().unwrap();
        entries.open.insert(code.to_owned(), why.to_owned());
    }

    fn took(&self, time: Duration) {
        let mut entries = self.0.lock().unwrap();
        entries.longest = entries.longest.max(time);
    }

    /// Only what passes may be answered to a writer who does everything right.
    fn refuse(&self, answer: &super::Answer) {
        let status = answer.status.as_u16();
        assert!(matches!(status, 503 | 507), "{answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        for leaked in ["SQLITE", "database is locked", "sqlx", "deadpool"] {
            assert!(!text.contains(leaked), "{text}");
        }
        let mut entries = self.0.lock().unwrap();
        *entries.refused.entry(status.to_string()).or_default() += 1;
    }

    fn missed(&self, why: String) {
        let mut entries = self.0.lock().unwrap();
        *entries.refused.entry(why).or_default() += 1;
    }

    /// Compares it with all that is there: every promise is kept, nothing is there
    /// twice, and what was not promised is there as a whole or not at all. The log of
    /// changes tells of each write once.
    pub async fn verify(&self, client: &Client) -> Count {
        // What nobody waits for any more may yet arrive at the database, and be written. The
        // log ends before what is being written: a write that was cut off holds it up until
        // the database gives it up.
        let patience = Instant::now() + LOG_IS_WHOLE;
        let (clients, locations, changes) = loop {
            let before = changes(client).await;
            let clients = all(client, "/api/v1/clients").await;
            let locations = all(client, "/api/v1/client/locations").await;
            let after = changes(client).await;
            let is_whole = after.len() == writes(&clients);
            if before == after && (is_whole || Instant::now() > patience) {
                break (clients, locations, after);
            }
        };
        let entries = self.0.lock().unwrap();
        let mut found = HashMap::new();
        for record in &clients {
            let code = record["account_code"].as_str().unwrap();
            let twice = found.insert(code, record);
            assert!(twice.is_none(), "{code} is there twice");
            assert_whole(record, code);
        }
        for (code, promise) in &entries.created {
            let record = found.get(code.as_str());
            let record = record.unwrap_or_else(|| panic!("{code} is lost"));
            assert_eq!(record["id"], promise.id);
            let (is, notes) = (record["notes"].as_str().unwrap(), &promise.notes);
            assert!(notes.contains(is), "{code} has {is:?} instead of {notes:?}");
            let updates = record["version"].as_i64().unwrap() - 1;
            // One may have happened that nobody was told of.
            let promised = promise.updates..=promise.updates.max(i64::from(notes.len() > 1));
            assert!(promised.contains(&updates), "{code}: {record}");
        }
        let mut logged = BTreeMap::<_, i64>::new();
        for (client, kind) in &changes {
            *logged.entry((*client, kind.as_str())).or_default() += 1;
        }
        let mut expected = BTreeMap::new();
        for record in &clients {
            let (id, version) = (record["id"].as_i64().unwrap(), record["version"].as_i64());
            expected.insert((id, "CLIENT_CREATED"), 1);
            expected.insert((id, "LOCATION_CREATED"), 1);
            if let Some(updates @ 1..) = version.map(|version| version - 1) {
                expected.insert((id, "CLIENT_UPDATED"), updates);
            }
        }
        assert!(logged == expected, "{logged:?}\n{expected:?}");
        for code in found.keys() {
            let is_known = entries.created.contains_key(*code) || entries.open.contains_key(*code);
            assert!(is_known, "nobody has sent {code}");
        }
        // Each client was made with one location, and nobody has added others.
        let mut primary = HashSet::new();
        for location in &locations {
            assert_eq!(location["is_primary"], true, "{location}");
            assert!(primary.insert(location["root_id"].as_i64()), "{location}");
        }
        let ids: HashSet<_> = clients.iter().map(|client| client["id"].as_i64()).collect();
        assert_eq!(
            primary, ids,
            "each client has one location, and no other has"
        );
        Count {
            acknowledged: entries.created.len(),
            updated: entries.updated,
            changes: changes.len(),
            open: entries.open.len(),
            open_but_there: entries
                .open
                .keys()
                .filter(|code| found.contains_key(code.as_str()))
                .count(),
            refused: entries.refused.clone(),
            longest: entries.longest,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            updated,
            changes,
            open,
            open_but_there,
            refused,
            longest,
        } = self;
        write!(
            formatter,
            "{acknowledged} created and {updated} updated, all there; {changes} changes, each \
             once; {open} not promised, {open_but_there} of them there and whole; refused: {refused:?}; longest answer \
             {longest:?}"
        )
    }
}

fn assert_whole(record: &Value, code: &str) {
    let mut expected = client_body(code)["client"].take();
    let location = expected["primary_location"].take();
    for (name, value) in location.as_object().unwrap() {
        assert_eq!(record["primary_location"][name], *value, "{code}: {name}");
    }
    assert_eq!(record["name"], expected["name"]);
}

/// How many changes there should be of these clients, each with one location.
fn writes(clients: &[Value]) -> usize {
    let of_each = clients.iter().map(|client| client["version"].as_u64());
    let writes = of_each.map(|version| version.unwrap() + 1).sum::<u64>();
    usize::try_from(writes).unwrap()
}

/// All pages of the log of changes: whose each is, and of which kind.
async fn changes(client: &Client) -> Vec<(i64, String)> {
    let mut changes = Vec::new();
    let mut after = Value::Null;
    loop {
        let query = "query ($after: String) { changes(first: 500, after: $after) {
            nodes { kind client { id } } pageInfo { hasNextPage endCursor } } }";
        let body = json!({ "query": query, "variables": { "after": after } });
        let answer = client.post("/graphql", &body).await.json();
        let page = &answer["data"]["changes"];
        let nodes = page["nodes"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"));
        changes.extend(nodes.iter().map(|node| {
            let id = node["client"]["id"].as_str().unwrap();
            (
                id.parse().unwrap(),
                node["kind"].as_str().unwrap().to_owned(),
            )
        }));
        if page["pageInfo"]["hasNextPage"] == false {
            return changes;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// All pages of a list.
pub async fn all(client: &Client, path: &str) -> Vec<Value> {
    let mut records = Vec::new();
    for page in 1.. {
        let answer = client
            .get(&format!("{path}?per_page=500&page={page}"))
            .await;
        answer.assert_status(200);
        let Value::Array(mut found) = answer.json() else {
            panic!("{answer:?}");
        };
        let is_last = found.len() < 500;
        records.append(&mut found);
        if is_last {
            break;
        }
    }
    records
}
