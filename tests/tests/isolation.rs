//! Several tenants with the same tables, the same ids and the same requests, and a canary of its own in
//! everything that each of them writes. Threads interleave all routes by a seeded generator; no tenant
//! ever sees another's canary, and neither do metrics, logs, the audit log or another tenant's store: its
//! file, its schema, its database, its namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::thread;

use nimbus_tests::{Client, Installation, Provider, Reply, holds, on_every_provider, seeded};
use serde_json::{Value, json};

/// Ids that are easily confused: by case, by `-` and `_`, as prefixes of each other.
const TENANTS: [&str; 6] = ["acme", "Acme", "acme-1", "acme_1", "acme-11", "a"];
const TABLES: [&str; 2] = ["notes", "users"];
const IDS: [&str; 5] = ["1", "2", "3", "first", "last"];
const THREADS: u64 = 4;
const STEPS_PER_THREAD: u64 = 250;
/// What every canary begins with; it stands nowhere else.
const MARK: &str = "canary0x";

on_every_provider! {
    no_canary_crosses,
    nothing_of_a_deleted_tenant_is_in_its_successor,
}

/// One tenant, its canary, and the client that addresses it.
struct Party<'a> {
    tenant: &'static str,
    /// Stands in documents, in names of fields and in the name of an index.
    canary: String,
    client: &'a Client,
}

impl<'a> Party<'a> {
    fn new(tenant: &'static str, number: u64, client: &'a Client) -> Self {
        Self { tenant, canary: format!("{MARK}{number:016x}"), client }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/tenants/{}/{rest}", self.tenant)
    }

    /// Holds text that this tenant may see to its own canary.
    fn assert_own(&self, what: &str, text: &str) {
        for (at, _) in text.match_indices(MARK) {
            let found = &text[at..text.len().min(at + self.canary.len())];
            assert_eq!(found, self.canary, "{what} of tenant {} shows another's canary: {text}", self.tenant);
        }
    }

    fn send(&self, method: &str, rest: &str, body: Option<&Value>) -> Reply {
        let path = self.path(rest);
        let reply = self.client.send(method, &path, &[], body);
        self.check(&format!("{method} {path}"), reply)
    }

    fn check(&self, what: &str, reply: Reply) -> Reply {
        assert!(reply.status < 500, "{what}: {} {}", reply.status, reply.body);
        self.assert_own(what, &reply.body);
        for (name, value) in &reply.headers {
            self.assert_own(&format!("header {name} of {what}"), value);
        }
        reply
    }

    /// Fields whose names, values and nested values carry the canary. `number` is shared by all.
    fn fields(&self, generator: &mut fastrand::Rng) -> Value {
        let mut fields =
            json!({"text": self.canary, "number": generator.u8(..10), "nested": {"deep": [&self.canary]}});
        fields[format!("field-{}", self.canary)] = json!(true);
        fields
    }

    /// A schema whose unique index makes errors that concern the canary.
    fn schema(&self, table: &str) -> Value {
        json!({
            "table": table,
            "fields": [{"name": "text", "field_type": "string", "required": true}],
            "indexes": [
                {"name": self.canary, "fields": ["number"]},
                {"name": "by_key", "fields": ["key"], "unique": true, "sparse": true},
            ],
        })
    }

    /// One request of any kind.
    fn step(&self, generator: &mut fastrand::Rng, cursors: &Mutex<Vec<String>>) {
        let table = TABLES[generator.usize(..TABLES.len())];
        let id = IDS[generator.usize(..IDS.len())];
        let one = format!("documents/{table}/{id}");
        match generator.u8(..16) {
            0 | 1 => self.insert(table, Some(id), generator),
            2 => self.insert(table, None, generator),
            3 | 4 => self.read(&one),
            5 => {
                self.send("PATCH", &one, Some(&json!({"patch": {"patched": self.canary}})));
            }
            6 => {
                self.send("PUT", &one, Some(&json!({"fields": self.fields(generator)})));
            }
            7 => {
                self.send("DELETE", &one, None);
            }
            8 => {
                self.send("GET", &format!("documents/{table}?limit=50"), None);
            }
            9 => self.query(table, generator),
            10 | 11 => self.page(table, generator, cursors),
            12 => self.transact(table, id, generator),
            13 => {
                let schema = self.schema(table);
                self.send("PUT", &format!("schema/{table}"), Some(&schema));
                self.send("GET", "schema", None);
            }
            14 => {
                let after = generator.u8(..20);
                self.send("GET", &format!("journal?after={after}&limit=20"), None);
            }
            _ => self.inspect(generator),
        }
    }

    fn insert(&self, table: &str, id: Option<&str>, generator: &mut fastrand::Rng) {
        let mut fields = self.fields(generator);
        if let Some(id) = id {
            fields["_id"] = id.into();
            fields["key"] = format!("{}-{id}", self.canary).into();
        }
        self.send("POST", "documents", Some(&json!({"table": table, "fields": fields})));
    }

    fn read(&self, one: &str) {
        let reply = self.send("GET", one, None);
        if reply.status == 200 {
            assert_eq!(reply.json()["document"]["text"], self.canary.as_str(), "a document is one's own");
        }
    }

    fn query(&self, table: &str, generator: &mut fastrand::Rng) {
        let filters = match generator.u8(..3) {
            0 => json!([]),
            1 => json!([{"field": "number", "op": "gte", "value": generator.u8(..10)}]),
            _ => json!([{"field": "text", "op": "prefix", "value": MARK}]),
        };
        let body = json!({"table": table, "filters": filters, "limit": 100});
        let reply = self.send("POST", "query", Some(&body)).expect_status(200);
        for document in reply.json()["data"].as_array().expect("a list of documents") {
            assert_eq!(document["text"], self.canary.as_str(), "a document is one's own");
        }
    }

    /// Pages with a cursor that any tenant may have been given; a foreign one is refused or harmless.
    fn page(&self, table: &str, generator: &mut fastrand::Rng, cursors: &Mutex<Vec<String>>) {
        let mut body = json!({"query": {"table": table, "filters": []}, "page_size": 2});
        {
            let cursors = cursors.lock().expect("no thread panicked");
            if !cursors.is_empty() && generator.bool() {
                body["after"] = cursors[generator.usize(..cursors.len())].as_str().into();
            }
        }
        let reply = self.send("POST", "query/paginated", Some(&body));
        if let Some(cursor) = (reply.status == 200)
            .then(|| reply.json())
            .and_then(|page| page["next_cursor"].as_str().map(str::to_owned))
        {
            cursors.lock().expect("no thread panicked").push(cursor);
        }
    }

    fn transact(&self, table: &str, id: &str, generator: &mut fastrand::Rng) {
        let body = json!({"mutations": [
            {"op": "insert", "table": table, "fields": self.fields(generator)},
            {"op": "patch", "table": table, "id": id, "patch": {"patched": self.canary}},
        ]});
        self.send("POST", "transactions", Some(&body));
    }

    fn inspect(&self, generator: &mut fastrand::Rng) {
        let page = if generator.bool() { "engine/metrics" } else { "consistency" };
        let path = format!("/debug/tenants/{}/{page}", self.tenant);
        let reply = self.check(&path, self.client.get(&path)).expect_status(200);
        if page == "consistency" {
            assert_eq!(reply.json()["ok"], true, "{}", reply.body);
        }
    }
}

fn no_canary_crosses(provider: Provider) {
    let seeded = seeded("isolation");
    let Some(installation) = Installation::on(provider) else { return };
    let installation = installation.with_log_level("trace");
    let server = installation.start();
    let client = server.client();
    let mut generator = seeded.generator(u64::MAX);
    let parties: Vec<_> = TENANTS
        .into_iter()
        .map(|tenant| {
            client.create_tenant(tenant);
            Party::new(tenant, generator.u64(..), &client)
        })
        .collect();
    let cursors = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (parties, cursors, mut generator) = (&parties, &cursors, seeded.generator(number));
            scope.spawn(move || {
                for _ in 0..STEPS_PER_THREAD {
                    parties[generator.usize(..parties.len())].step(&mut generator, cursors);
                }
            });
        }
    });
    for party in &parties {
        let reply = party.send("GET", "documents/notes?limit=1000", None).expect_status(200);
        assert!(reply.body.contains(&party.canary), "the suite has written nothing for {}", party.tenant);
        client.assert_consistent(party.tenant);
    }
    assert!(!cursors.lock().expect("no thread panicked").is_empty(), "the suite has seen no cursor");

    for page in ["/metrics", "/debug/runtime/metrics", "/openapi.json", "/api/tenants", "/health"] {
        let reply = client.get(page).expect_status(200);
        let shown = format!("{reply:?}");
        assert!(!shown.contains(MARK), "{page} shows a canary: {shown}");
    }
    assert_stores_are_clean(&installation, &parties);
    let log = server.log();
    server.stop();
    assert_stores_are_clean(&installation, &parties);
    assert_eq!(installation.files("cache").is_empty(), provider != Provider::LibsqlReplica);
    assert_replicas_are_clean(&installation, &parties);
    assert!(!log.contains(MARK), "the log shows a document's content");
    assert!(!log.contains(&installation.token()), "the log shows the token");
    let audit = fs::read_to_string(installation.audit_file()).expect("the audit log");
    assert!(!audit.contains(MARK), "the audit log shows a document's content");
}

/// Each tenant's canary is in one store, and that holds no other tenant's.
fn assert_stores_are_clean(installation: &Installation, parties: &[Party<'_>]) {
    let mut holders: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for store in installation.stores() {
        let dump = installation.dump(&store);
        let owners = parties.iter().filter(|party| holds(&dump, &party.canary));
        let owners: Vec<_> = owners.map(|party| party.tenant).collect();
        assert!(owners.len() <= 1, "{store} holds the canaries of {owners:?}");
        for tenant in owners {
            holders.entry(tenant).or_default().insert(store.clone());
        }
    }
    assert_eq!(holders.len(), parties.len(), "each tenant's canary is in a store: {holders:?}");
    assert!(holders.values().all(|stores| stores.len() == 1), "a canary is in two stores: {holders:?}");
    let store = holders["acme"].first().expect("one store");
    assert!(store.ends_with("acme"), "a plain id is readable in its store's name: {holders:?}");
}

/// The replicas of a provider that reads from local ones: a folder with files of the tenants' own.
fn assert_replicas_are_clean(installation: &Installation, parties: &[Party<'_>]) {
    for path in installation.files("cache") {
        let bytes = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let owners = parties.iter().filter(|party| holds(&text, &party.canary)).count();
        assert!(owners <= 1, "{} holds the canaries of {owners} tenants", path.display());
    }
}

fn nothing_of_a_deleted_tenant_is_in_its_successor(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let server = installation.start();
    let client = server.client();
    let mut cursor = None;
    for generation in 0..4 {
        client.create_tenant("acme");
        let party = Party::new("acme", generation, &client);
        for table in TABLES {
            assert_eq!(party.send("GET", &format!("documents/{table}"), None).body, r#"{"data":[]}"#);
        }
        assert_eq!(party.send("GET", "schema", None).expect_status(200).body.matches(MARK).count(), 0);
        let journal = party.send("GET", "journal?after=0&limit=100", None).expect_status(200);
        assert!(!journal.body.contains(MARK), "the log of a new tenant is empty: {}", journal.body);
        let mut generator = fastrand::Rng::with_seed(generation);
        let schema = party.schema("notes");
        let reply = party.send("PUT", "schema/notes", Some(&schema));
        assert!((200..300).contains(&reply.status), "{}", reply.body);
        for id in IDS {
            party.insert("notes", Some(id), &mut generator);
        }
        let mut page = json!({"query": {"table": "notes", "filters": []}, "page_size": 2});
        if let Some(old) = &cursor {
            page["after"] = Value::clone(old);
            party.send("POST", "query/paginated", Some(&page));
            page.as_object_mut().expect("an object").remove("after");
        }
        let reply = party.send("POST", "query/paginated", Some(&page)).expect_status(200);
        cursor = Some(reply.json()["next_cursor"].clone());
        client.assert_consistent("acme");
        client.delete("/api/tenants/acme").expect_status(204);
        assert_eq!(client.get("/api/tenants/acme/documents/notes").status, 404);
    }
    server.stop();
    assert_eq!(installation.stores(), BTreeSet::new());
}
