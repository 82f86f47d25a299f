"""Systems that are not what their vendor made, and configurations that the vendor has left behind."""

from selftests.support.planting import fault

ETC = "etc_holds_no_stale_copies"
VENDOR = "system_equals_the_vendor"

OF_ETC = (
    fault(
        "a unit is switched on that is gone",
        "web-1",
        ETC,
        "It was meant to run after every boot, and nobody is told that it does not.",
        "ln -s /lib/systemd/system/shop-backup.service /etc/systemd/system/multi-user.target.wants/shop-backup.service",
        heal="rm /etc/systemd/system/multi-user.target.wants/shop-backup.service",
    ),
    fault(
        "a link in /etc leads nowhere",
        "db-1",
        ETC,
        "What it led to was thrown away by some clean-up; whoever opens it gets an error.",
        "ln -s /usr/share/shop/limits.conf /etc/shop/limits.conf",
        heal="rm /etc/shop/limits.conf",
    ),
    fault(
        "nobody has merged the new default of an upgrade",
        "kv-1",
        ETC,
        "dpkg keeps an edited file and lays the new one beside it, where it waits for ever.",
        "sed 's/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf >/etc/redis/redis.conf.dpkg-dist",
        heal="rm /etc/redis/redis.conf.dpkg-dist",
    ),
    fault(
        "a person was asked to merge, and nobody answered",
        "web-1",
        ETC,
        "ucf asks a person; an unattended upgrade has none.",
        "{ cat /etc/nginx/nginx.conf; echo '# hardened'; } >/etc/nginx/nginx.conf.ucf-dist",
        heal="rm /etc/nginx/nginx.conf.ucf-dist",
    ),
    fault(
        "an alternative leads elsewhere than its database says",
        "db-1",
        ETC,
        "Set by hand with ln, it is set back by the next upgrade of either program.",
        "ln -sf /usr/bin/cat /etc/alternatives/pager",
        heal="ln -sf /bin/more /etc/alternatives/pager",
    ),
    fault(
        "an alternative leads to a program that is gone",
        "kv-1",
        ETC,
        "The command is there, and running it fails.",
        "ln -sf /usr/bin/less /etc/alternatives/pager",
        heal="ln -sf /bin/more /etc/alternatives/pager",
    ),
    fault(
        "the configuration of a removed package stays",
        "web-1",
        ETC,
        "'dpkg --remove' leaves it, and it comes back with every restore from now on.",
        "p=/run/gone && mkdir -p $p/DEBIAN $p/etc/gone && echo a=1 >$p/etc/gone/gone.conf && "
        "echo /etc/gone/gone.conf >$p/DEBIAN/conffiles && printf 'Package: gone\\nVersion: 1.0\\nArchitecture: all\\n"
        "Maintainer: nobody\\nDescription: gone\\n' >$p/DEBIAN/control && "
        "dpkg-deb -b $p $p.deb && dpkg -i $p.deb && dpkg -r gone",
        heal="dpkg --purge gone",
    ),
    fault(
        "an upgrade has dropped a configuration file",
        "db-1",
        ETC,
        "The new version of the package does not read it any more; whoever edits it edits nothing.",
        "sed -i 's|^ /etc/postgresql-common/createcluster.conf .*|& obsolete|; "
        "s|^ /etc/init.d/postgresql .*|& obsolete|' /var/lib/dpkg/status",
        heal="sed -i 's| obsolete$||' /var/lib/dpkg/status",
    ),
)
"""Planted before a drill: they come back with the backup."""

OF_VENDOR = (
    fault(
        "a packaged program was replaced",
        "web-1",
        VENDOR,
        "It has the name, the size and the time of the real one.",
        "touch -r /usr/bin/curl /run/stamp && printf x | dd of=/usr/bin/curl bs=1 seek=200 conv=notrunc status=none && "
        "touch -r /run/stamp /usr/bin/curl",
    ),
    fault(
        "a packaged program runs as root for everybody",
        "db-1",
        VENDOR,
        "dpkg --verify and debsums look at contents only: a mode is nothing to them.",
        "chmod u+s /usr/bin/find",
    ),
    fault(
        "a packaged library was deleted",
        "kv-1",
        VENDOR,
        "Whatever is loaded already goes on; the next start fails.",
        "rm /usr/lib/*/libpq.so.5.*",
    ),
    fault(
        "a packaged file was replaced by a link",
        "web-1",
        VENDOR,
        "A checksum follows the link and finds the same text.",
        "mv /usr/share/perl5/Debconf/Db.pm /opt/Db.pm && ln -s /opt/Db.pm /usr/share/perl5/Debconf/Db.pm",
        heal="rm /usr/share/perl5/Debconf/Db.pm && mv /opt/Db.pm /usr/share/perl5/Debconf/Db.pm",
    ),
    fault(
        "everybody may change a packaged file",
        "db-1",
        VENDOR,
        "Nothing is changed yet, and anybody may.",
        "chmod o+w /usr/share/postgresql/15/pg_hba.conf.sample",
    ),
    fault(
        "a packaged file belongs to a user",
        "kv-1",
        VENDOR,
        "The owner may change it whatever its mode says.",
        "chown redis /usr/bin/redis-cli",
    ),
    fault(
        "a packaged program has got capabilities",
        "web-1",
        VENDOR,
        "As good as setuid, and no listing of modes shows it.",
        "setcap cap_dac_override+ep /usr/bin/tar",
    ),
    fault(
        "the copyright of a package is gone",
        "db-1",
        VENDOR,
        "It is read by people only, so it is told as minor; but a part of a package it is.",
        "rm /usr/share/doc/tar/copyright",
    ),
)
"""Planted on endpoints that redrill knows nothing about but their address, and observed."""
