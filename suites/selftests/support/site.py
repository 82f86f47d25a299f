"""A lab whose applications need each other over the network: a web server that asks a database for its orders."""

import json
from pathlib import Path
from typing import Any

import yaml

from selftests.support.labs import LAB_FLEET, lab_fleet

PASSWORD = "pw-site-0815-lab-only"  # noqa: S105 - of a lab that lives as long as its tests
PASSWORD_VARIABLE = "TEST_SITE_PASSWORD"  # noqa: S105 - its name

_DAY1 = LAB_FLEET.parents[1] / "images/day1"

# The database starts late on purpose, so that a cold start always has something to wait for.
_DATABASE = """
mkdir -p /etc/systemd/system/postgresql@15-main.service.d
printf '[Service]\\nExecStartPre=+/bin/sleep 4\\n' >/etc/systemd/system/postgresql@15-main.service.d/late.conf
systemctl daemon-reload
systemctl restart postgresql@15-main.service
"""

_ORDERS = """import os, subprocess, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

COMMAND = ["psql", "-XAtc", "SELECT count(*) FROM orders"]
state = {"orders": None}


def watch():
    while True:
        done = subprocess.run(COMMAND, capture_output=True, text=True)
        state["orders"] = done.stdout.strip() if done.returncode == 0 else None
        time.sleep(float(os.environ["RETRY_SECONDS"]))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if state["orders"] else 503)
        self.end_headers()
        self.wfile.write(f"{state['orders']} orders".encode())

    def log_message(self, *_):
        pass


threading.Thread(target=watch, daemon=True).start()
HTTPServer(("", 8000), Handler).serve_forever()
"""

_WEB = f"""
mkdir -p /etc/shop
cat >/etc/shop/orders.py <<'END'
{_ORDERS}END
cat >/etc/shop/orders.env <<'END'
PGHOST=DATABASE
PGUSER=shop
PGDATABASE=shop
PGPASSWORD={PASSWORD}
PGCONNECT_TIMEOUT=2
RETRY_SECONDS=0.3
END
cat >/etc/systemd/system/orders.service <<'END'
[Service]
EnvironmentFile=/etc/shop/orders.env
ExecStart=/usr/bin/python3 -B /etc/shop/orders.py
[Install]
WantedBy=multi-user.target
END
systemctl --quiet enable --now orders.service
"""


def site_fleet(folder: Path, name: str, subnet: str, **more: Any) -> Path:
    """Write the fleet of the site, whose endpoints say ``more``; its password is in PASSWORD_VARIABLE."""
    document = yaml.safe_load(lab_fleet(folder, name, subnet).read_text())
    password = {"env": PASSWORD_VARIABLE}
    document["defaults"] |= {"objectives": {"rto": "40s", "rpo": "15m"}, **more}
    roles = document["roles"]
    for role, extra in {"web": _WEB.replace("DATABASE", f"{subnet}.12"), "db": _DATABASE}.items():
        script = folder / f"{role}.sh"
        script.write_text((_DAY1 / f"{role}.sh").read_text() + extra)
        roles[role]["day1"] = str(script)
    roles["web"]["applications"]["orders"] = {
        "units": ["orders.service"],
        "http": {"port": 8000, "path": "/orders", "expect": "200000 orders"},
        "needs": {"db-1/postgresql": {"tolerate": "5s"}},
    }
    roles["db"]["applications"]["postgresql"]["postgresql"]["password"] = password
    store = roles["kv"]["applications"]["redis"]
    del store["command"]
    store |= {"redis": {"password": password, "key": "item:7"}, "unit": {"name": "redis-server.service"}}
    roles["db"]["neighbours"] = ["kv-1/redis", "logs-1/journal-remote"]
    path = folder / f"{name}.yml"
    path.write_text(json.dumps(document, indent=1))
    return path
