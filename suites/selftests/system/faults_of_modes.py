"""The part of the fault catalogue of the other modes: without its state, and on a new host."""

from redrill.model.values import Mode
from selftests.support.planting import at_boot, fault, no_agent

_SITE = "/etc/nginx/sites-available/shop"

ELSEWHERE = (
    fault(
        "the image does not run what must run without state",
        "kv-1",
        "what_the_image_enables_is_up",
        "It ships the store disabled; whoever counts on an empty one after a disaster waits for it in vain.",
        fleet={"vanilla": {"units": ["redis-server.service"]}},
        mode=Mode.VANILLA,
    ),
    fault(
        "the shop asks a service by the address of its host",
        "web-1",
        "application_is_healthy:shop",
        "It works wherever it was written, and nowhere else; the failure names file and line.",
        "printf 'server { listen 8080; root /var/www/shop; }' >/etc/nginx/conf.d/pages.conf && "
        f"sed -i \"s|location = /health {{|& proxy_pass http://$(hostname -I | tr -d ' '):8080;|\" {_SITE} && "
        "systemctl reload nginx",
        heal=f"sed -i 's| proxy_pass http.*8080;||' {_SITE}; rm /etc/nginx/conf.d/pages.conf; systemctl reload nginx",
        fleet={"objectives": {"rto": "5s"}},
        mode=Mode.RELOCATE,
    ),
    fault(
        "a boot agent gives the new host its old name",
        "kv-1",
        ("new_host_has_its_name", "identity_is_kept"),
        "Two hosts of one name write to one place in every log, metric and directory.",
        at_boot("name=$(hostname); echo ${name%b} >/etc/hostname; hostname -F /etc/hostname"),
        heal=no_agent(),
        mode=Mode.RELOCATE,
    ),
)
