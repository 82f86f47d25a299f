"""The part of the fault catalogue about applications: they do not come back, too late, not for good, or with less."""

from selftests.support.certificates import make_server_certificate
from selftests.support.planting import at_boot, drop_in, fault, no_agent, no_drop_in

SHORT_RTO = {"objectives": {"rto": "5s"}}
NEVER_HEALTHY = "An application that never comes back also misses its recovery time, whatever that is."

SITE = "/etc/nginx/sites-available/shop"
CLUSTER = "/var/lib/postgresql/15/main"
AS_POSTGRES = "cd / && runuser -u postgres -- psql -qAt"
CERTIFICATE, KEY = make_server_certificate("shop.example")
OTHER_CERTIFICATE, OTHER_KEY = make_server_certificate("till.example")

READ_ORDERS = "-c 'VACUUM orders' -c 'SELECT count(*) FROM orders' -c CHECKPOINT"
FIND_ORDERS = "SELECT pg_relation_filepath('orders')"
MIGRATION = "UPDATE redrill_canary SET line = upper(line) WHERE number < 4"
UNLOGGED = """
CREATE FUNCTION faster() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT object_identity FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
        EXECUTE 'ALTER TABLE ' || made.object_identity || ' SET UNLOGGED';
    END LOOP;
END $$;
CREATE EVENT TRIGGER faster ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION faster();
"""


def unit(name: str, text: str) -> str:
    """Plant a unit in /etc."""
    return f"printf '{text}' >/etc/systemd/system/{name} && systemctl daemon-reload"


def damage(file: str) -> str:
    """Garble a page of a table, of which ``file`` is where the cluster has it."""
    return f"dd if=/dev/urandom of={CLUSTER}/{file} bs=1 seek=820000 count=64 conv=notrunc"


def certificate(pem: str, key: str) -> str:
    """Plant a certificate and its key."""
    folder = "/etc/shop/tls"
    return f"(umask 077 && cat >{folder}/shop.crt <<'END'\n{pem}END\ncat >{folder}/shop.key <<'END'\n{key}END\n)"


NEVER_BACK = (
    fault(
        "an application reads its pages from /opt",
        "web-1",
        ("nothing_leaks", "application_is_healthy:shop", "recovery_time_is_within_its_objective:shop"),
        f"The leak says what is lost, the health check that it matters. {NEVER_HEALTHY}",
        "mkdir /opt/shop && echo ok >/opt/shop/health && "
        f"sed -i 's|location = /health {{|& root /opt/shop;|' {SITE} && systemctl reload nginx",
        heal=f"sed -i 's| root /opt/shop;||' {SITE} && systemctl reload nginx",
        fleet=SHORT_RTO,
    ),
    fault(
        "a page of the database is corrupt on disk",
        "db-1",
        ("application_is_healthy:postgresql", "recovery_time_is_within_its_objective:postgresql"),
        f"The page cache hides it, the backup keeps it faithfully; only a restart tells. {NEVER_HEALTHY}",
        f"({AS_POSTGRES} shop {READ_ORDERS}) && " + damage(f'$({AS_POSTGRES} shop -c "{FIND_ORDERS}")'),
        fleet=SHORT_RTO,
        needs_rebuild=True,
    ),
    fault(
        "a boot agent damages the database before it starts",
        "db-1",
        (
            "application_is_healthy:postgresql",
            "recovery_time_is_within_its_objective:postgresql",
            "home_etc_and_var_stay_as_restored",
        ),
        f"Restored well and damaged since: the comparison names the file. {NEVER_HEALTHY}",
        f'({AS_POSTGRES} shop -c VACUUM -c CHECKPOINT -c "{FIND_ORDERS}") >/etc/shop/file && '
        + at_boot(damage("$(cat /etc/shop/file)"), "Before=postgresql@15-main.service"),
        fleet=SHORT_RTO,
        needs_rebuild=True,
    ),
    fault(
        "a boot agent takes the data from the database's user",
        "db-1",
        (
            "application_is_healthy:postgresql",
            "recovery_time_is_within_its_objective:postgresql",
            "no_acknowledged_write_is_lost:postgresql",
            "home_etc_and_var_stay_as_restored",
            "units_came_back",
            "no_unit_has_failed",
            "network_came_back",
        ),
        f"The data are all there, and nobody can say so while the server refuses to start. {NEVER_HEALTHY}",
        at_boot(f"chown root:root {CLUSTER}", "Before=postgresql@15-main.service"),
        heal=no_agent(f"chown postgres:postgres {CLUSTER}; systemctl start postgresql@15-main"),
        fleet=SHORT_RTO,
    ),
    fault(
        "a store was started by hand and never enabled",
        "kv-1",
        (
            "application_is_healthy:redis",
            "recovery_time_is_within_its_objective:redis",
            "no_acknowledged_write_is_lost:redis",
            "units_came_back",
            "network_came_back",
        ),
        f"It ran for a year, until the first boot. {NEVER_HEALTHY}",
        "systemctl -q disable redis-server",
        heal="systemctl -q enable --now redis-server",
        fleet=SHORT_RTO,
    ),
    fault(
        "a store answers at its port and lets nobody in",
        "kv-1",
        (
            "application_is_healthy:redis",
            "recovery_time_is_within_its_objective:redis",
            "no_acknowledged_write_is_lost:redis",
        ),
        f"The port is open and the unit is active; only who logs in learns that the password is another one now. "
        f"{NEVER_HEALTHY}",
        "sed -i 's/^requirepass .*/requirepass another/' /etc/redis/redis.conf",
        heal='sed -i "s/^requirepass .*/requirepass $(cat /etc/shop/redis-password)/" /etc/redis/redis.conf; '
        "systemctl restart redis-server",
        fleet=SHORT_RTO,
    ),
    fault(
        "the port of an application is taken at boot",
        "web-1",
        (
            "application_is_healthy:shop",
            "recovery_time_is_within_its_objective:shop",
            "units_came_back",
            "no_unit_has_failed",
            "network_came_back",
        ),
        f"The socket of what was there before it is still enabled, and whoever comes first is served. {NEVER_HEALTHY}",
        unit(
            "old-shop.socket",
            "[Unit]\\nBefore=nginx.service\\n[Socket]\\nListenStream=80\\nAccept=yes\\n"
            "[Install]\\nWantedBy=sockets.target\\n",
        )
        + " && "
        + unit("old-shop@.service", "[Service]\\nExecStart=/bin/echo closed\\nStandardOutput=socket\\n")
        + " && systemctl -q enable old-shop.socket",
        heal="systemctl -q disable --now old-shop.socket; rm /etc/systemd/system/old-shop*; systemctl daemon-reload; "
        "systemctl start nginx",
        fleet=SHORT_RTO,
    ),
    fault(
        "a certificate was replaced by that of another name",
        "web-1",
        ("application_is_healthy:shop", "recovery_time_is_within_its_objective:shop"),
        f"The running server has the old one in memory; valid and trusted, but not for this name. {NEVER_HEALTHY}",
        f"mkdir -p /etc/shop/tls && {certificate(CERTIFICATE, KEY)} && "
        "echo 'server { listen 443 ssl; ssl_certificate /etc/shop/tls/shop.crt; ssl_certificate_key "
        "/etc/shop/tls/shop.key; root /var/www/shop; }' >/etc/nginx/conf.d/tls.conf && systemctl reload nginx && "
        "until curl -kfso /dev/null https://127.0.0.1/health; do sleep 0.1; done\n"
        + certificate(OTHER_CERTIFICATE, OTHER_KEY),
        heal="rm -r /etc/shop /etc/nginx/conf.d/tls.conf; systemctl reload nginx",
        fleet={
            **SHORT_RTO,
            "applications": {"shop": {"http": {"tls": True, "port": 443, "host": "shop.example", "ca": "trusted.pem"}}},
        },
        files={"trusted.pem": CERTIFICATE + OTHER_CERTIFICATE},
    ),
    fault(
        "a hook leaves its maintenance page in the backup",
        "web-1",
        ("application_is_healthy:shop", "recovery_time_is_within_its_objective:shop"),
        f"What is done before a backup is in it, and what undoes it comes too late for that. {NEVER_HEALTHY}",
        f"sed -i 's|location = /health {{|if (-f /var/lib/shop/closed) {{ return 503; }} &|' {SITE} && "
        "systemctl reload nginx",
        heal=f"rm -f /var/lib/shop/closed; sed -i 's|if (-f /var/lib/shop/closed) {{ return 503; }} ||' {SITE}; "
        "systemctl reload nginx",
        fleet={
            **SHORT_RTO,
            "applications": {
                "shop": {"quiesce": {"before": "touch /var/lib/shop/closed", "after": "rm -f /var/lib/shop/closed"}}
            },
        },
    ),
)

LATE_OR_UNSTEADY = (
    fault(
        "an application starts too slowly",
        "kv-1",
        "recovery_time_is_within_its_objective:redis",
        "It does come back, but later than the business was told.",
        drop_in("redis-server.service", "[Service]\\nExecStartPre=+/bin/sleep 7\\n"),
        heal=no_drop_in("redis-server.service"),
        fleet=SHORT_RTO,
    ),
    fault(
        "the objective is shorter than any recovery",
        "db-1",
        "recovery_time_is_within_its_objective:postgresql",
        "The time is measured from the wipe and compared with what the fleet file promises.",
        fleet={"objectives": {"rto": "1ms"}},
    ),
    fault(
        "an application answers once and then refuses",
        "web-1",
        (
            "application_is_healthy:shop",
            "recovery_time_is_within_its_objective:shop",
            "health_does_not_flap:shop",
        ),
        f"A single good answer is no recovery: health must hold. {NEVER_HEALTHY}",
        "echo 'limit_req_zone $host zone=all:1m rate=6r/m;' >/etc/nginx/conf.d/limit.conf && "
        f"sed -i 's|root /var/www/shop;|& limit_req zone=all;|' {SITE}",
        heal=f"rm /etc/nginx/conf.d/limit.conf && sed -i 's| limit_req zone=all;||' {SITE} && systemctl reload nginx",
        fleet=SHORT_RTO,
    ),
    fault(
        "a boot agent restarts an application that was up",
        "web-1",
        "health_does_not_flap:shop",
        "Users who came with the first good answer were thrown out by the next step of the boot.",
        at_boot(
            "seen() { wc -l </var/log/nginx/access.log; }; before=$(seen); "
            'while [ "$(seen)" = "$before" ]; do sleep 0.05; done; '
            "systemctl stop nginx; sleep 1; systemctl start nginx",
            "After=nginx.service",
        ),
        heal=no_agent(),
    ),
    fault(
        "what needs an application asks for it too seldom",
        "web-1",
        "dependency_outage_is_tolerated:till",
        "The shop is back, and its till still waits for the end of its pause.",
        unit(
            "till.service",
            '[Service]\\nExecStart=/bin/sh -c "until curl -fso /dev/null http://127.0.0.1/health; do sleep 8; done; '
            'exec python3 -B -m http.server 8000 --directory /var/www/shop"\\n'
            "[Install]\\nWantedBy=multi-user.target\\n",
        )
        + " && systemctl -q enable --now till && "
        "until curl -fso /dev/null http://127.0.0.1:8000/health; do sleep 0.1; done && "
        + drop_in("nginx.service", "[Service]\\nExecStartPre=/bin/sleep 3\\n"),
        heal="systemctl -q disable --now till; rm /etc/systemd/system/till.service; " + no_drop_in("nginx.service"),
        fleet={
            "applications": {
                "till": {
                    "http": {"port": 8000, "path": "/health", "expect": "ok"},
                    "needs": {"web-1/shop": {"tolerate": "2s"}},
                }
            }
        },
    ),
    fault(
        "an application that comes back overruns its neighbour",
        "db-1",
        "neighbours_were_not_harmed",
        "It asks for all that it has missed at once, and everybody else is turned away meanwhile.",
        at_boot(
            "prices=$(sed -n 's|^URL=\\(.*\\):.*|\\1/prices|p' /etc/systemd/journal-upload.conf); "
            'until curl -fso /dev/null "$prices"; do sleep 0.1; done; curl -so /dev/null "$prices?[1-6000]"'
        ),
        heal=no_agent(),
        fleet={"neighbours": ["logs-1/prices"]},
    ),
)

LOST_OR_ALTERED = (
    fault(
        "a store acknowledges writes that only memory holds",
        "kv-1",
        "no_acknowledged_write_is_lost:redis",
        "Somebody switched the append-only file off in the running server to make it faster.",
        "REDISCLI_AUTH=$(cat /etc/shop/redis-password) redis-cli -e CONFIG SET appendonly no",
    ),
    fault(
        "the last part of the append-only file is cut off",
        "kv-1",
        "no_acknowledged_write_is_lost:redis",
        "The store starts with what it can read, and says so in its log only.",
        at_boot(
            'cd /var/lib/redis/appendonlydir; truncate -s -300 "$(ls *.incr.aof | tail -n1)"',
            "Before=redis-server.service",
        ),
        heal=no_agent(),
        fleet={"churn": ["/var/lib/redis/** content", "/var/lib/redis/** mtime"]},
    ),
    fault(
        "tables are made without a log",
        "db-1",
        "application_recovers_from_a_crash_consistent_backup:postgresql",
        "Somebody made them faster. They outlive every restart, and a backup of the running server holds none of it.",
        f"({AS_POSTGRES} shop) <<'END'\n{UNLOGGED}END",
        heal=f"({AS_POSTGRES} shop -c 'DROP EVENT TRIGGER faster' -c 'DROP FUNCTION faster')",
        fleet={"applications": {"postgresql": {"quiesce": "freeze"}}, "churn": [f"{CLUSTER}/**"]},
    ),
    fault(
        "a migration at boot rewrites rows",
        "db-1",
        "no_write_came_back_altered",
        "A cluster's files are declared as churn where it runs; what is in them is seen by numbered rows only.",
        at_boot(f'until {AS_POSTGRES} shop -c "{MIGRATION}"; do sleep 0.2; done'),
        heal=no_agent(),
        fleet={"churn": [f"{CLUSTER}/**"]},
    ),
    fault(
        "a boot agent cleans up in a user's files",
        "kv-1",
        "no_acknowledged_write_to_files_is_lost",
        "Old lines of a file that grows are gone; they had been written and synced.",
        at_boot("sed -i 1,3d /home/.redrill-canaries/append"),
        heal=no_agent(),
    ),
    fault(
        "a boot agent converts a user's files",
        "kv-1",
        "no_write_came_back_altered",
        "Nothing is missing, and yet a line is not what was written.",
        at_boot("sed -i '2s/ [0-9a-f]/ x/2' /var/lib/.redrill-canaries/append"),
        heal=no_agent(),
    ),
    fault(
        "backups are made less often than the objective wants",
        "db-1",
        "loss_is_within_its_objective",
        "Everything that was in the backup came back; what was written since is more than may be lost.",
        fleet={"backup": {"lead": "8s"}, "objectives": {"rpo": "3s"}},
    ),
)

RECOVERY = NEVER_BACK + LATE_OR_UNSTEADY + LOST_OR_ALTERED
"""All of them."""
