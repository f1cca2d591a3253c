#include "daemon/indexer/index.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "daemon/indexer/statement.h"

namespace bastion::index {
namespace {

constexpr std::int64_t kSchemaVersion = 1;

// A name is one word of the column `keys`, so that who and where are found by the same search as a
// text: u, l or t and the name in hexadecimal.
constexpr const char* kSchema = R"(
CREATE TABLE recordings(
  id INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, day TEXT NOT NULL, user TEXT NOT NULL,
  login TEXT NOT NULL, target TEXT NOT NULL, rule TEXT NOT NULL, source TEXT NOT NULL,
  end_us INTEGER NOT NULL, state TEXT NOT NULL, encrypted INTEGER NOT NULL, what TEXT NOT NULL,
  size INTEGER NOT NULL, changed_ns INTEGER NOT NULL, start_us INTEGER NOT NULL);
CREATE INDEX by_user ON recordings(user);
CREATE INDEX by_login ON recordings(login);
CREATE INDEX by_target ON recordings(target);
CREATE INDEX by_day ON recordings(day);
CREATE INDEX by_open ON recordings(state) WHERE state = 'open';
CREATE VIRTUAL TABLE content USING fts5(keys, command, screen, input, file, tokenize = 'unicode61');
PRAGMA user_version = 1;
)";

constexpr std::string_view kColumns =
    "r.session, r.day, r.user, r.login, r.target, r.rule, r.source, r.start_us, r.end_us, r.state, "
    "r.encrypted, r.what, r.size, r.changed_ns";

Row row_of(const Statement& statement) {
  Row row;
  row.session = statement.text(0);
  row.day = statement.text(1);
  row.user = statement.text(2);
  row.login = statement.text(3);
  row.target = statement.text(4);
  row.rule = statement.text(5);
  row.from = statement.text(6);
  row.start_us = static_cast<std::uint64_t>(statement.number(7));
  row.end_us = static_cast<std::uint64_t>(statement.number(8));
  row.state = statement.text(9);
  row.encrypted = statement.number(10) != 0;
  row.what = statement.text(11);
  row.size = static_cast<std::uint64_t>(statement.number(12));
  row.changed_ns = statement.number(13);
  return row;
}

std::int64_t key_of(std::uint64_t time_us) {
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(time_us, std::numeric_limits<std::int64_t>::max()));
}

std::string name_key(char kind, std::string_view name) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string key(1, kind);
  for (const char c : name) {
    key += kHex[static_cast<unsigned char>(c) >> 4];
    key += kHex[static_cast<unsigned char>(c) & 15];
  }
  return key;
}

/// phrase makes a text a phrase of FTS5: nothing in it is syntax.
std::string phrase(std::string_view columns, std::string_view text, bool prefix) {
  std::string out = "{" + std::string(columns) + "} : \"";
  for (const char c : text) {
    out += c == '"' ? "\"\"" : c == '\0' ? " " : std::string(1, c);
  }
  return out + (prefix ? "\" *" : "\"");
}

std::string match_of(const Filter& filter) {
  std::string match;
  const auto add = [&](const std::string& part) { match += (match.empty() ? "" : " AND ") + part; };
  const auto by_name = [&](char kind, const std::string& name) {
    if (!name.empty()) {
      add(phrase("keys", name_key(kind, name), false));
    }
  };
  const auto by_text = [&](std::string_view columns, const std::string& text) {
    if (!text.empty()) {
      add(phrase(columns, text, true));
    }
  };
  by_text("command screen input file", filter.text);
  by_text("command", filter.command);
  by_text("screen", filter.screen);
  by_text("file", filter.file);
  by_name('u', filter.user);
  by_name('l', filter.login);
  by_name('t', filter.target);
  return match;
}

struct Query {
  std::string sql;
  std::vector<std::string> texts;  // bound first, then since, until and limit
};

Query query_of(const Filter& filter) {
  Query query;
  if (filter.by_text()) {
    query.sql = "SELECT " + std::string(kColumns) +
                ", snippet(content, -1, '', '', '...', 12) FROM content JOIN recordings r ON "
                "r.id = content.rowid WHERE content MATCH ? AND content.rowid BETWEEN ? AND ? "
                "ORDER BY content.rowid DESC LIMIT ?";
    query.texts.push_back(match_of(filter));
    return query;
  }
  query.sql = "SELECT " + std::string(kColumns) + ", '' FROM recordings r WHERE ";
  const auto by = [&](const char* column, const std::string& name) {
    if (!name.empty()) {
      query.sql += std::string(column) + " = ? AND ";
      query.texts.push_back(name);
    }
  };
  by("r.user", filter.user);
  by("r.target", filter.target);
  by("r.login", filter.login);
  query.sql += "r.id BETWEEN ? AND ? ORDER BY r.id DESC LIMIT ?";
  return query;
}

void bind(Statement& statement, const Query& query, const Filter& filter) {
  for (const std::string& text : query.texts) {
    statement.bind(text);
  }
  statement.bind(key_of(filter.since_us)).bind(key_of(filter.until_us)).bind(key_of(filter.limit));
}

std::unexpected<Error> failed(sqlite3* database, std::string_view what) {
  return std::unexpected("the index: " + std::string(what) + ": " + sqlite3_errmsg(database));
}

}  // namespace

Expected<Index> Index::open(const std::string& path, Mode mode) {
  sqlite3* database = nullptr;
  const bool write = mode == Mode::kWrite;
  const int result = sqlite3_open_v2(
      path.empty() ? ":memory:" : path.c_str(), &database,
      write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY, nullptr);
  Index index(database);
  if (result != SQLITE_OK) {
    return failed(database, "cannot open " + path);
  }
  sqlite3_busy_timeout(database, 5000);
  // A damaged or made-up file shall do no more than fail.
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  std::int64_t version = -1;
  {
    Statement statement(database, "PRAGMA user_version");
    if (!statement.step()) {
      return failed(database, "cannot read " + path);
    }
    version = statement.number(0);
  }
  if (version == kSchemaVersion) {
    return index;
  }
  if (!write) {
    return std::unexpected(
        "the index is of another version; run: bastionctl recordings index "
        "--rebuild");
  }
  if (!path.empty()) {
    if (const auto mode_set = index.run("PRAGMA journal_mode = WAL"); !mode_set) {
      return std::unexpected(mode_set.error());
    }
  }
  const auto made =
      index.run("BEGIN IMMEDIATE; DROP TABLE IF EXISTS recordings; DROP TABLE IF EXISTS content");
  if (!made) {
    return std::unexpected(made.error());
  }
  if (const auto schema = index.run(kSchema); !schema) {
    return std::unexpected(schema.error());
  }
  if (const auto done = index.commit(); !done) {
    return std::unexpected(done.error());
  }
  return index;
}

Index::Index(Index&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Index::~Index() { sqlite3_close(database_); }

Expected<void> Index::run(const char* sql) const {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failed(database_, "cannot change it");
  }
  return {};
}

Expected<void> Index::begin() { return run("BEGIN IMMEDIATE"); }
Expected<void> Index::commit() { return run("COMMIT"); }
Expected<void> Index::rollback() { return run("ROLLBACK"); }
Expected<void> Index::clear() { return run("DELETE FROM recordings; DELETE FROM content"); }

Expected<void> Index::remove(const std::string& session) {
  Statement find(database_, "SELECT id FROM recordings WHERE session = ?");
  find.bind(session);
  if (find.step()) {
    const std::int64_t id = find.number(0);
    for (const char* sql :
         {"DELETE FROM content WHERE rowid = ?", "DELETE FROM recordings WHERE id = ?"}) {
      Statement statement(database_, sql);
      statement.bind(id).step();
      if (!statement.ok()) {
        return failed(database_, "cannot remove a row");
      }
    }
  }
  return find.ok() ? Expected<void>() : failed(database_, "cannot look up a row");
}

Expected<void> Index::put(const Row& row, const Content& content) {
  if (const auto removed = remove(row.session); !removed) {
    return removed;
  }
  std::int64_t id = key_of(row.start_us);
  for (bool free = false; !free; id += free ? 0 : 1) {
    Statement taken(database_, "SELECT 1 FROM recordings WHERE id = ?");
    free = !taken.bind(id).step();
    if (!taken.ok()) {
      return failed(database_, "cannot look up a key");
    }
  }
  Statement insert(database_,
                   "INSERT INTO recordings(id, session, day, user, login, target, rule, source, "
                   "start_us, end_us, state, encrypted, what, size, changed_ns) "
                   "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  insert.bind(id).bind(row.session).bind(row.day).bind(row.user).bind(row.login).bind(row.target);
  insert.bind(row.rule).bind(row.from).bind(key_of(row.start_us)).bind(key_of(row.end_us));
  insert.bind(row.state).bind(std::int64_t{row.encrypted}).bind(row.what);
  insert.bind(key_of(row.size)).bind(row.changed_ns).step();
  Statement text(database_,
                 "INSERT INTO content(rowid, keys, command, screen, input, file) "
                 "VALUES(?,?,?,?,?,?)");
  text.bind(id)
      .bind(name_key('u', row.user) + " " + name_key('l', row.login) + " " +
            name_key('t', row.target))
      .bind(content.command)
      .bind(content.screen)
      .bind(content.input)
      .bind(content.file)
      .step();
  return insert.ok() && text.ok() ? Expected<void>() : failed(database_, "cannot add a row");
}

Expected<std::vector<Found>> Index::find(const Filter& filter) const {
  const Query query = query_of(filter);
  Statement statement(database_, query.sql);
  bind(statement, query, filter);
  std::vector<Found> found;
  while (statement.step()) {
    found.push_back({row_of(statement), statement.text(14)});
  }
  return statement.ok() ? Expected<std::vector<Found>>(std::move(found))
                        : failed(database_, "cannot search");
}

Expected<std::string> Index::plan(const Filter& filter) const {
  const Query query = query_of(filter);
  Statement statement(database_, "EXPLAIN QUERY PLAN " + query.sql);
  bind(statement, query, filter);
  std::string steps;
  while (statement.step()) {
    steps += statement.text(3) + "\n";
  }
  return statement.ok() ? Expected<std::string>(std::move(steps))
                        : failed(database_, "cannot plan");
}

namespace {

Expected<std::vector<Row>> rows_of(sqlite3* database, Statement& statement) {
  std::vector<Row> rows;
  while (statement.step()) {
    rows.push_back(row_of(statement));
  }
  return statement.ok() ? Expected<std::vector<Row>>(std::move(rows))
                        : failed(database, "cannot look up recordings");
}

std::string select(std::string_view where) {
  return "SELECT " + std::string(kColumns) + " FROM recordings r WHERE " + std::string(where);
}

}  // namespace

Expected<std::vector<Row>> Index::by_prefix(const std::string& prefix, std::size_t limit) const {
  Statement statement(database_, select("r.session >= ? AND r.session < ? LIMIT ?"));
  statement.bind(prefix).bind(prefix + "~").bind(key_of(limit));
  return rows_of(database_, statement);
}

Expected<std::vector<Row>> Index::in_day(const std::string& day) const {
  Statement statement(database_, select("r.day = ?"));
  statement.bind(day);
  return rows_of(database_, statement);
}

Expected<std::vector<Row>> Index::open_ones() const {
  Statement statement(database_, select("r.state = 'open'"));
  return rows_of(database_, statement);
}

Expected<std::uint64_t> Index::count() const {
  Statement statement(database_, "SELECT count(*) FROM recordings");
  if (!statement.step()) {
    return failed(database_, "cannot count");
  }
  return static_cast<std::uint64_t>(statement.number(0));
}

}  // namespace bastion::index
