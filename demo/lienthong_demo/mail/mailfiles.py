"""Configuration templates for a Postfix and a Dovecot of the demo's own. Knows both programs. Starts neither."""

#: Postfix's main.cf.
MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.{domain}
mydestination =
mynetworks =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_error_sleep_time = 0
virtual_mailbox_domains = {domain}, {elsewhere}
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = texthash:{home}/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = {limit}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_auth_only = {only_tls}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {home}/auth
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
"""
#: Postfix's master.cf: the services that receive, queue and deliver mail.
SERVICES = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
"""
#: Dovecot's configuration. Postfix verifies passwords through it too.
BOXES = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
protocols = imap
listen = 127.0.0.1
mail_driver = maildir
mail_path = {home}/mail/%{{user}}
mail_uid = {owner}
mail_gid = {owner}
mail_plugins = quota
first_valid_uid = 1
first_valid_gid = 1
quota "User quota" {{
  storage_size = {quota}
}}
ssl = {ssl}
ssl_server_cert_file = {certificate}
ssl_server_key_file = {key}
auth_mechanisms = plain login
auth_failure_delay = 0
auth_allow_cleartext = {cleartext}
passdb passwd-file {{
  passwd_file_path = {home}/accounts
}}
userdb passwd-file {{
  passwd_file_path = {home}/accounts
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service auth {{
  unix_listener {home}/auth {{
    mode = 0666
  }}
}}
"""
