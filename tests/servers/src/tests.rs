//! The servers' lives: started, killed, restarted, stopped, dropped, and orphaned by a killed test.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Server, is_running};
use crate::{Mariadb, Postgres, Sqld, skip, tool, unique};

/// Runs `psql` or `mariadb` with a statement; true when it succeeds.
fn succeeds(command: &mut Command) -> bool {
    let output = command.stdin(Stdio::null()).output().expect("the client starts");
    println!("{command:?}: {}{}", show(&output.stdout), show(&output.stderr));
    output.status.success()
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn psql(url: &str, statement: &str) -> bool {
    succeeds(Command::new("psql").args(["--no-psqlrc", "--command", statement, url]))
}

fn mariadb(server: &Mariadb, user: &str, password: &str, statement: &str) -> bool {
    let (port, password) = (format!("--port={}", server.port()), format!("--password={password}"));
    let user = format!("--user={user}");
    let options = ["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &port, &user, &password];
    succeeds(Command::new("mariadb").args(options).args(["--execute", statement]))
}

/// A Hrana request to namespace `name`.
fn execute(server: &Sqld, name: &str, token: &str, statement: &str) -> bool {
    let body = format!(r#"{{"requests":[{{"type":"execute","stmt":{{"sql":"{statement}"}}}}]}}"#);
    let (host, authorization) = (format!("Host: {name}.localhost"), format!("Authorization: Bearer {token}"));
    let url = format!("{}/v2/pipeline", server.url());
    let headers = ["--header", &host, "--header", &authorization];
    succeeds(Command::new("curl").args(["--silent", "--fail", "--data", &body, &url]).args(headers))
}

fn create_namespace(server: &Sqld, name: &str, authorization: &str) -> bool {
    let url = format!("{}/v1/namespaces/{name}/create", server.admin_url());
    let headers = ["--header", "Content-Type: application/json", "--header", authorization];
    succeeds(Command::new("curl").args(["--silent", "--fail", "--data", "{}", &url]).args(headers))
}

/// All processes of `server`: the main one and its children.
fn processes(server: &Server) -> Vec<u32> {
    let main = server.process().expect("it runs");
    let parent = format!("PPid:\t{main}\n");
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        std::fs::read_to_string(format!("/proc/{id}/status")).is_ok_and(|status| status.contains(&parent))
    };
    ids.filter(is_child).chain([main]).collect()
}

/// Kills, restarts, stops and drops `server`; `keeps_data` asks for what was written before.
fn live_and_end<S>(mut server: S, of: fn(&mut S) -> &mut Server, keeps_data: impl Fn(&S) -> bool) {
    let port = of(&mut server).port();
    for end in [Server::kill, Server::stop] {
        let before = processes(of(&mut server));
        end(of(&mut server));
        assert!(!before.into_iter().any(is_running), "all of it has ended");
        assert_eq!(of(&mut server).process(), None);
        assert!(!keeps_data(&server), "nobody answers");
        of(&mut server).restart();
        assert_eq!(of(&mut server).port(), port);
        assert!(keeps_data(&server), "the data are there");
    }
    let (last, folder) = (processes(of(&mut server)), of(&mut server).folder());
    drop(server);
    assert!(!last.into_iter().any(is_running), "all of it ends with the drop");
    assert!(!Path::new(&folder).exists(), "its folder goes with the drop");
}

#[test]
fn postgres_lives_and_ends() {
    let check = "postgres_lives_and_ends";
    let Some(server) = Postgres::start(check) else { return };
    if !tool("psql", check) {
        return;
    }
    assert!(psql(&server.url(), "CREATE SCHEMA a; CREATE TABLE a.b AS SELECT 1"));
    live_and_end(server, |server| &mut server.server, |server| psql(&server.url(), "SELECT * FROM a.b"));
}

#[test]
fn postgres_demands_passwords_and_rights() {
    let check = "postgres_demands_passwords_and_rights";
    let Some(server) = Postgres::shared(check) else { return };
    if !tool("psql", check) {
        return;
    }
    assert!(!psql(&server.url().replace(crate::PASSWORD, "wrong"), "SELECT 1"));
    let schema = unique("schema");
    assert!(psql(&server.powerless_url(), "SELECT 1"));
    assert!(!psql(&server.powerless_url(), &format!("CREATE SCHEMA {schema}")));
    assert!(psql(&server.url(), &format!("CREATE SCHEMA {schema}")));
    assert!(!psql(&server.url(), &format!("CREATE ROLE {schema}")));
    assert!(psql(&server.superuser_url(), &format!("CREATE ROLE {schema}")));
}

#[test]
fn mariadb_lives_and_ends() {
    let check = "mariadb_lives_and_ends";
    let Some(server) = Mariadb::start(check) else { return };
    if !tool("mariadb", check) {
        return;
    }
    let ask = |server: &Mariadb, statement| mariadb(server, "nimbus", crate::PASSWORD, statement);
    assert!(ask(&server, "CREATE DATABASE a; CREATE TABLE a.b AS SELECT 1"));
    live_and_end(server, |server| &mut server.server, |server| ask(server, "SELECT * FROM a.b"));
}

#[test]
fn mariadb_demands_passwords_and_rights() {
    let check = "mariadb_demands_passwords_and_rights";
    let Some(server) = Mariadb::shared(check) else { return };
    if !tool("mariadb", check) {
        return;
    }
    for user in ["nimbus", "powerless", "administrator", "root", ""] {
        assert!(!mariadb(server, user, "wrong", "SELECT 1"), "{user}");
        assert!(!mariadb(server, user, "", "SELECT 1"), "{user}");
    }
    let database = unique("database");
    let (create, grant) =
        (format!("CREATE DATABASE {database}"), format!("GRANT SELECT ON {database}.* TO powerless"));
    assert!(mariadb(server, "powerless", crate::PASSWORD, "SELECT 1"));
    assert!(!mariadb(server, "powerless", crate::PASSWORD, &create));
    assert!(mariadb(server, "nimbus", crate::PASSWORD, &create));
    assert!(!mariadb(server, "nimbus", crate::PASSWORD, &grant));
    assert!(mariadb(server, "administrator", crate::PASSWORD, &grant));
}

#[test]
fn sqld_lives_and_ends() {
    let check = "sqld_lives_and_ends";
    let Some(server) = Sqld::start(check) else { return };
    if !tool("curl", check) {
        return;
    }
    let authorization = format!("Authorization: {}", server.admin_auth_header());
    assert!(create_namespace(&server, "a", &authorization));
    assert!(execute(&server, "a", server.auth_token(), "CREATE TABLE b AS SELECT 1"));
    let keeps_data = |server: &Sqld| execute(server, "a", server.auth_token(), "SELECT * FROM b");
    live_and_end(server, |server| &mut server.server, keeps_data);
}

#[test]
fn sqld_demands_credentials() {
    let check = "sqld_demands_credentials";
    let Some(server) = Sqld::shared(check) else { return };
    if !tool("curl", check) {
        return;
    }
    let (name, authorization) =
        (unique("namespace"), format!("Authorization: {}", server.admin_auth_header()));
    assert!(!create_namespace(server, &name, "Authorization: basic wrong"));
    assert!(create_namespace(server, &name, &authorization));
    assert!(!execute(server, &name, "wrong", "SELECT 1"));
    assert!(execute(server, &name, server.auth_token(), "SELECT 1"));
}

#[test]
fn durable_servers_write_through() {
    let check = "durable_servers_write_through";
    if let (Some(durable), Some(shared)) = (Postgres::start_durable(check), Postgres::shared(check))
        && tool("psql", check)
    {
        let fails_without_fsync = "SELECT 1 / (current_setting('fsync') = 'on')::int";
        assert!(psql(&durable.url(), fails_without_fsync));
        assert!(!psql(&shared.url(), fails_without_fsync));
    }
    if let (Some(durable), Some(shared)) = (Mariadb::start_durable(check), Mariadb::shared(check))
        && tool("mariadb", check)
    {
        let fails_without_sync =
            "SELECT IF(@@innodb_flush_log_at_trx_commit = 1, 1, (SELECT 1 UNION SELECT 2))";
        assert!(mariadb(&durable, "nimbus", crate::PASSWORD, fails_without_sync));
        assert!(!mariadb(shared, "nimbus", crate::PASSWORD, fails_without_sync));
    }
}

#[test]
fn a_killed_postgres_leaves_no_shared_memory() {
    let Some(mut server) = Postgres::start("a_killed_postgres_leaves_no_shared_memory") else { return };
    let pid_file = format!("{}data/postmaster.pid", server.server.folder());
    let text = std::fs::read_to_string(pid_file).expect("a running server has a file");
    let segment = text.lines().nth(6).and_then(|line| line.split_whitespace().last()).expect("an id");
    let there = || {
        let segments = std::fs::read_to_string("/proc/sysvipc/shm").expect("a list");
        segments.lines().any(|line| line.split_whitespace().nth(1) == Some(segment))
    };
    server.kill();
    assert!(there(), "segment {segment} outlives the kill");
    drop(server);
    assert!(!there(), "segment {segment} goes with the folder");
}

#[test]
fn every_server_has_a_port_of_its_own() {
    let check = "every_server_has_a_port_of_its_own";
    let (Some(first), Some(second)) = (Sqld::start(check), Sqld::start(check)) else { return };
    let ports = [first.port(), first.admin_port(), second.port(), second.admin_port()];
    let different: std::collections::BTreeSet<_> = ports.into_iter().collect();
    assert_eq!(different.len(), 4, "{ports:?}");
}

#[test]
fn unique_names_differ() {
    assert_ne!(unique("a"), unique("a"));
    assert!(unique("a").starts_with('a'));
}

/// Not a test: the process that the test below kills.
#[test]
#[ignore = "run by the next test as a process of its own"]
fn holder() {
    let postgres = Postgres::start("holder");
    let mariadb = Mariadb::start("holder");
    let sqld = Sqld::start("holder");
    let servers = [
        postgres.as_ref().map(|server| &server.server),
        mariadb.as_ref().map(|server| &server.server),
        sqld.as_ref().map(|server| &server.server),
    ];
    for server in servers.into_iter().flatten() {
        for process in processes(server) {
            println!("process {process} {}", server.folder());
        }
    }
    println!("ready");
    std::io::stdout().flush().expect("the output is read");
    thread::sleep(Duration::from_mins(10));
}

#[test]
fn servers_end_with_a_killed_test_process() {
    let mut holder = Command::new(env::current_exe().expect("a test has a program"))
        .args(["--exact", "tests::holder", "--nocapture", "--include-ignored"])
        .stdout(Stdio::piped())
        // Its own skips are those of the tests above.
        .stderr(Stdio::null())
        .spawn()
        .expect("the holder starts");
    let lines = BufReader::new(holder.stdout.take().expect("its output is piped")).lines();
    let mut ready = false;
    let held: Vec<(u32, String)> = lines
        .map_while(Result::ok)
        .take_while(|line| {
            ready = line == "ready";
            !ready
        })
        .filter_map(|line| {
            let (process, folder) = line.strip_prefix("process ")?.split_once(' ')?;
            Some((process.parse().ok()?, folder.to_owned()))
        })
        .collect();
    assert!(ready, "the holder has started all servers that are installed");
    holder.kill().expect("the holder can be killed");
    holder.wait().expect("the holder ends");
    if held.is_empty() {
        skip("servers_end_with_a_killed_test_process", "no server is installed");
    }
    let start = Instant::now();
    for (process, folder) in held {
        while is_running(process) || Path::new(&folder).exists() {
            assert!(start.elapsed() < Duration::from_mins(1), "{process} in {folder} is still there");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
