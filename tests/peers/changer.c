/*
 * A filter for tests, on the real libmilter: does to a message what its X-Do fields name, and tells
 * in X-Seen what it was shown. `changer SOCKET [FLAGS]`; FLAGS: protocol steps to ask for, in hex.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libmilter/mfapi.h>

#define TEXT 4096

struct mail {
    char wanted[TEXT], from[TEXT], connect[TEXT];
    unsigned headers, recipients, replaced;
    unsigned long body;
};

static unsigned long asked;

static struct mail *mail_of(SMFICTX *ctx)
{
    struct mail *mail = smfi_getpriv(ctx);
    if (mail == NULL) {
        mail = calloc(1, sizeof *mail);
        smfi_setpriv(ctx, mail);
    }
    return mail;
}

static const char *macro(SMFICTX *ctx, char *name)
{
    const char *value = smfi_getsymval(ctx, name);
    return value == NULL ? "-" : value;
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
    (void)address;
    snprintf(mail_of(ctx)->connect, TEXT, "host=%s j=%s daemon=%s port=%d", host, macro(ctx, "j"),
             macro(ctx, "{daemon_name}"), atoi(macro(ctx, "{client_port}")) > 0);
    return SMFIS_CONTINUE;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
    (void)ctx;
    return strcmp(name, "unwanted.example") == 0 ? SMFIS_REJECT : SMFIS_CONTINUE;
}

static sfsistat on_from(SMFICTX *ctx, char **arguments)
{
    struct mail *mail = mail_of(ctx);
    snprintf(mail->from, TEXT, "%s", arguments[0]);
    mail->wanted[0] = '\0';
    mail->headers = mail->recipients = mail->replaced = 0;
    mail->body = 0;
    if (strstr(arguments[0], "spammer") != NULL) {
        smfi_setreply(ctx, "553", "5.7.1", "100%% unwanted");
        return SMFIS_REJECT;
    }
    return SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
    if (strstr(arguments[0], "later") != NULL)
        return SMFIS_TEMPFAIL;
    mail_of(ctx)->recipients++;
    return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    struct mail *mail = mail_of(ctx);
    mail->headers++;
    if (strcasecmp(name, "X-Do") == 0)
        snprintf(mail->wanted + strlen(mail->wanted), TEXT - strlen(mail->wanted), " %s ", value);
    return (asked & SMFIP_NR_HDR) ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t size)
{
    (void)chunk;
    mail_of(ctx)->body += size;
    if (strstr(mail_of(ctx)->wanted, " skip ") != NULL)
        return SMFIS_SKIP;
    return (asked & SMFIP_NR_BODY) ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat on_end(SMFICTX *ctx)
{
    struct mail *mail = mail_of(ctx);
    char seen[TEXT * 3];
    char piece[1000];
    int number;

#define WANTS(what) (strstr(mail->wanted, " " what " ") != NULL)
    if (WANTS("hang"))
        sleep(600);
    if (WANTS("die"))
        _exit(1);
    if (WANTS("reject"))
        return SMFIS_REJECT;
    if (WANTS("tempfail"))
        return SMFIS_TEMPFAIL;
    if (WANTS("discard"))
        return SMFIS_DISCARD;
    if (WANTS("lines")) {
        smfi_setmlreply(ctx, "554", "5.6.0", "first line", "second line", NULL);
        return SMFIS_REJECT;
    }
    snprintf(seen, sizeof seen, "headers=%u body=%lu rcpts=%u i=%d from=%s %s", mail->headers,
             mail->body, mail->recipients, (int)strlen(macro(ctx, "i")), mail->from, mail->connect);
    smfi_addheader(ctx, "X-Seen", seen);
    if (WANTS("progress"))
        smfi_progress(ctx);
    if (WANTS("insheader")) {
        smfi_insheader(ctx, 0, "X-Above", "all");
        smfi_insheader(ctx, 1, "X-Below", "ours");
    }
    if (WANTS("chgheader")) {
        smfi_chgheader(ctx, "Subject", 1, "changed,\n\tand folded");
        smfi_chgheader(ctx, "X-Gone", 2, NULL);
    }
    if (WANTS("replbody"))
        smfi_replacebody(ctx, (unsigned char *)"new body\r\n", 10);
    if (WANTS("bigbody")) {
        memset(piece, 'x', sizeof piece);
        piece[998] = '\r';
        piece[999] = '\n';
        for (number = 0; number < 200; number++)
            smfi_replacebody(ctx, (unsigned char *)piece, sizeof piece);
    }
    if (WANTS("addrcpt"))
        smfi_addrcpt(ctx, "<postmaster>");
    if (WANTS("addrcpt-par"))
        smfi_addrcpt_par(ctx, "<postmaster>", "NOTIFY=NEVER");
    if (WANTS("delrcpt"))
        smfi_delrcpt(ctx, "<user@bsd.home>");
    if (WANTS("chgfrom"))
        smfi_chgfrom(ctx, "<changed@b.example>", NULL);
    if (WANTS("quarantine"))
        smfi_quarantine(ctx, "looks odd");
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
    free(smfi_getpriv(ctx));
    smfi_setpriv(ctx, NULL);
    return SMFIS_CONTINUE;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long can_do, unsigned long can_leave,
                             unsigned long f2, unsigned long f3, unsigned long *does,
                             unsigned long *leaves, unsigned long *g2, unsigned long *g3)
{
    (void)ctx;
    (void)f2;
    (void)f3;
    *does = can_do & SMFI_CURR_ACTS & ~SMFIF_SETSYMLIST;
    *leaves = can_leave & asked;
    *g2 = *g3 = 0;
    return SMFIS_CONTINUE;
}

int main(int count, char **words)
{
    struct smfiDesc filter;

    memset(&filter, 0, sizeof filter);
    filter.xxfi_name = "changer";
    filter.xxfi_version = SMFI_VERSION;
    filter.xxfi_flags = SMFI_CURR_ACTS & ~SMFIF_SETSYMLIST;
    filter.xxfi_connect = on_connect;
    filter.xxfi_helo = on_helo;
    filter.xxfi_envfrom = on_from;
    filter.xxfi_envrcpt = on_rcpt;
    filter.xxfi_header = on_header;
    filter.xxfi_body = on_body;
    filter.xxfi_eom = on_end;
    filter.xxfi_close = on_close;
    filter.xxfi_negotiate = on_negotiate;
    if (count < 2)
        return 64;
    if (count > 2)
        asked = strtoul(words[2], NULL, 16);
    if (smfi_setconn(words[1]) == MI_FAILURE || smfi_register(filter) == MI_FAILURE)
        return 69;
    return smfi_main();
}
