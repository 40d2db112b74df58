-- The same in PostgreSQL, as `pg_dump --inserts --no-owner` wrote it.
--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: keys_changed(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.keys_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
    RETURN NULL;
END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: _sqlx_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: admin_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.admin_tokens (
    id text NOT NULL COLLATE pg_catalog."C",
    hash bytea NOT NULL,
    label text NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);


--
-- Name: attempts_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.attempts_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: attempts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attempts (
    seq bigint DEFAULT nextval('public.attempts_seq'::regclass) NOT NULL,
    attempt text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    workflow text NOT NULL,
    lane text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    key text NOT NULL,
    cause text NOT NULL,
    end_kind text NOT NULL,
    cost_kind text NOT NULL,
    cost_nano bigint NOT NULL,
    usage text NOT NULL,
    record text NOT NULL,
    instance text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
)
PARTITION BY RANGE (attempt);


--
-- Name: attempts_20261121; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attempts_20261121 (
    seq bigint DEFAULT nextval('public.attempts_seq'::regclass) NOT NULL,
    attempt text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    workflow text NOT NULL,
    lane text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    key text NOT NULL,
    cause text NOT NULL,
    end_kind text NOT NULL,
    cost_kind text NOT NULL,
    cost_nano bigint NOT NULL,
    usage text NOT NULL,
    record text NOT NULL,
    instance text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit (
    seq bigint NOT NULL,
    at bigint NOT NULL,
    who text NOT NULL,
    what text NOT NULL,
    detail text NOT NULL
);


--
-- Name: audit_seq_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.audit ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: batches; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.batches (
    seq bigint NOT NULL,
    segment text NOT NULL,
    from_offset bigint NOT NULL,
    upto_offset bigint NOT NULL,
    attempts_after bigint NOT NULL,
    attempts_upto bigint NOT NULL,
    attempts bigint NOT NULL,
    calls_after bigint NOT NULL,
    calls_upto bigint NOT NULL,
    calls bigint NOT NULL,
    digest bytea NOT NULL,
    chain bytea NOT NULL,
    pruned bigint DEFAULT 0 NOT NULL,
    pruned_digest bytea DEFAULT decode(repeat('00'::text, 16), 'hex'::text) NOT NULL
);


--
-- Name: books; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.books (
    one bigint NOT NULL,
    seq bigint NOT NULL,
    chain bytea NOT NULL,
    attempts_before bigint NOT NULL,
    calls_before bigint NOT NULL,
    attempts_upto bigint NOT NULL,
    calls_upto bigint NOT NULL,
    summed_upto bigint DEFAULT 0 NOT NULL,
    folded_seq bigint DEFAULT 0 NOT NULL,
    folded_chain bytea NOT NULL,
    pruned_before bigint DEFAULT 0 NOT NULL,
    minutes_before bigint DEFAULT 0 NOT NULL,
    folded_digest bytea,
    CONSTRAINT books_one_check CHECK ((one = 1))
);


--
-- Name: budget_approvals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.budget_approvals (
    id bigint NOT NULL,
    scope text NOT NULL,
    per text NOT NULL,
    measure text NOT NULL,
    more bigint,
    until bigint,
    at bigint NOT NULL,
    who text NOT NULL
);


--
-- Name: budget_approvals_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.budget_approvals ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.budget_approvals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: calls_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.calls_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: calls; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.calls (
    seq bigint DEFAULT nextval('public.calls_seq'::regclass) NOT NULL,
    call text NOT NULL COLLATE pg_catalog."C",
    ended_at bigint NOT NULL,
    workflow text NOT NULL COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    failed bigint NOT NULL,
    cost_nano bigint NOT NULL,
    call_end text NOT NULL
)
PARTITION BY RANGE (call);


--
-- Name: calls_20261121; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.calls_20261121 (
    seq bigint DEFAULT nextval('public.calls_seq'::regclass) NOT NULL,
    call text NOT NULL COLLATE pg_catalog."C",
    ended_at bigint NOT NULL,
    workflow text NOT NULL COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    failed bigint NOT NULL,
    cost_nano bigint NOT NULL,
    call_end text NOT NULL
);


--
-- Name: captures; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.captures (
    call text NOT NULL COLLATE pg_catalog."C",
    until bigint NOT NULL,
    capture text NOT NULL
);


--
-- Name: cells; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.cells (
    cell bigint NOT NULL,
    workflow text NOT NULL,
    model text NOT NULL,
    upstream_model text NOT NULL,
    provider text NOT NULL,
    region text NOT NULL,
    cause text NOT NULL,
    end_kind text NOT NULL,
    meter text NOT NULL,
    price_row text NOT NULL,
    price_pico bigint NOT NULL,
    basis text NOT NULL
);


--
-- Name: cells_cell_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.cells ALTER COLUMN cell ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.cells_cell_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: cost_differences; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.cost_differences (
    attempt text NOT NULL,
    at bigint NOT NULL,
    model text NOT NULL,
    ours_nano bigint NOT NULL,
    theirs_nano bigint NOT NULL
);


--
-- Name: counted; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.counted (
    name text NOT NULL,
    start bigint NOT NULL,
    amount bigint NOT NULL
);


--
-- Name: erased; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.erased (
    start bigint NOT NULL,
    attempts bigint NOT NULL,
    calls bigint NOT NULL,
    digest bytea NOT NULL,
    sums bytea
);


--
-- Name: first_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.first_tokens (
    width_ms bigint NOT NULL,
    start bigint NOT NULL,
    workflow text NOT NULL COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    bucket bigint NOT NULL,
    calls bigint NOT NULL
);


--
-- Name: instance_spend; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.instance_spend (
    width_ms bigint NOT NULL,
    start bigint NOT NULL,
    instance text NOT NULL COLLATE pg_catalog."C",
    workflow text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    cost_nano bigint NOT NULL,
    tokens bigint NOT NULL
);


--
-- Name: instances; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.instances (
    instance text NOT NULL COLLATE pg_catalog."C",
    incarnation text NOT NULL,
    place text NOT NULL,
    started_at bigint NOT NULL,
    lease_ends bigint NOT NULL,
    ended_at bigint
);


--
-- Name: intents; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.intents (
    attempt text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    intent text NOT NULL,
    instance text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: journal; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.journal (
    attempt text NOT NULL COLLATE pg_catalog."C",
    line bigint NOT NULL,
    account text NOT NULL,
    amount_nano bigint NOT NULL
)
PARTITION BY RANGE (attempt);


--
-- Name: journal_20261121; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.journal_20261121 (
    attempt text NOT NULL COLLATE pg_catalog."C",
    line bigint NOT NULL,
    account text NOT NULL,
    amount_nano bigint NOT NULL
);


--
-- Name: key_use; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.key_use (
    key text NOT NULL COLLATE pg_catalog."C",
    last_used_at bigint NOT NULL
);


--
-- Name: keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.keys (
    id text NOT NULL COLLATE pg_catalog."C",
    hash bytea NOT NULL,
    label text NOT NULL,
    workflows text,
    direct bigint NOT NULL,
    budget_nano bigint,
    budget_per text,
    requests_per_minute bigint,
    tokens_per_minute bigint,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    budgets text
);


--
-- Name: lease_windows; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lease_windows (
    budget text NOT NULL COLLATE pg_catalog."C",
    window_start bigint NOT NULL,
    window_end bigint,
    asked bigint DEFAULT 0 NOT NULL
);


--
-- Name: leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leases (
    budget text NOT NULL COLLATE pg_catalog."C",
    window_start bigint NOT NULL,
    instance text NOT NULL COLLATE pg_catalog."C",
    ceiling bigint NOT NULL,
    settled bigint NOT NULL,
    held bigint NOT NULL
);


--
-- Name: meta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.meta (
    name text NOT NULL COLLATE pg_catalog."C",
    value bigint NOT NULL
);


--
-- Name: meters; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.meters (
    width_ms bigint NOT NULL,
    start bigint NOT NULL,
    cell bigint NOT NULL,
    attempts bigint NOT NULL,
    units bigint NOT NULL,
    amount_nano bigint NOT NULL
);


--
-- Name: revisions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.revisions (
    seq bigint NOT NULL,
    revision text NOT NULL,
    taken_at bigint NOT NULL,
    text text NOT NULL
);


--
-- Name: revisions_seq_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.revisions ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.revisions_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: segments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.segments (
    name text NOT NULL COLLATE pg_catalog."C",
    upto_offset bigint NOT NULL,
    corrupt_lines bigint DEFAULT 0 NOT NULL,
    corrupt_offset bigint,
    instance text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: sessions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.sessions (
    hash bytea NOT NULL,
    token text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);


--
-- Name: spend; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.spend (
    width_ms bigint NOT NULL,
    start bigint NOT NULL,
    workflow text NOT NULL COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    attempts bigint NOT NULL,
    cost_nano bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    unpriced bigint NOT NULL,
    indeterminate bigint NOT NULL
);


--
-- Name: told; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.told (
    provider text NOT NULL,
    start bigint NOT NULL,
    model text NOT NULL,
    requests bigint,
    input_tokens bigint,
    output_tokens bigint,
    cost_nano bigint
);


--
-- Name: traffic; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.traffic (
    width_ms bigint NOT NULL,
    start bigint NOT NULL,
    workflow text NOT NULL COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    calls bigint NOT NULL,
    errors bigint NOT NULL,
    cost_nano bigint NOT NULL
);


--
-- Name: attempts_20261121; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts ATTACH PARTITION public.attempts_20261121 FOR VALUES FROM ('call_01m7xpe6000000000000000000') TO ('call_01m808tx000000000000000000');


--
-- Name: calls_20261121; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.calls ATTACH PARTITION public.calls_20261121 FOR VALUES FROM ('call_01m7xpe6000000000000000000') TO ('call_01m808tx000000000000000000');


--
-- Name: journal_20261121; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.journal ATTACH PARTITION public.journal_20261121 FOR VALUES FROM ('call_01m7xpe6000000000000000000') TO ('call_01m808tx000000000000000000');


--
-- Data for Name: _sqlx_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public._sqlx_migrations VALUES (1, 'ledger', '2026-12-01 02:54:33.002774+00', true, '\x4f3dadf5fdd4c5f20aa4a9b5242933d072bc17a6ac82152f8e068c2c3fa206f4073f65f6da23ee56c649a06242220457', 9049839);
INSERT INTO public._sqlx_migrations VALUES (2, 'access', '2026-12-01 02:54:33.012458+00', true, '\x3c72ee73e7ec7abfdef1b6c983448e6bde711b72d6bdba2c07ff23ab6c3da43ae124cc95037bf0e5b55a1c7797d76fa9', 7179384);
INSERT INTO public._sqlx_migrations VALUES (20, 'budgets', '2026-12-01 02:54:33.01992+00', true, '\x91f25efc4fbd4c10a8216d6b8ea723542af2ef4714ff9909d69f8cffe6870e22afe6bdf490dd2c3e01b96b4a024ecdb9', 1915422);
INSERT INTO public._sqlx_migrations VALUES (30, 'instances', '2026-12-01 02:54:33.022026+00', true, '\xbf4590fb20b265f3049419963b091793a4d6b32b492d460511ccc5d3b830582d38c265eab992d2505595e38210ca14df', 4952790);
INSERT INTO public._sqlx_migrations VALUES (40, 'books', '2026-12-01 02:54:33.027287+00', true, '\xbf30fc4543bd471579ff36daa5a769bfcbb17c1bab140301c0459fe51f9ff9929ab8c11ed7b439059a8d7566b869098d', 7103170);
INSERT INTO public._sqlx_migrations VALUES (50, 'money', '2026-12-01 02:54:33.03461+00', true, '\xc700b384f9ed664c3ace070aee759ca2fe671e530540c7ee91bf3aa72199c8f31902228a0f6774342906347ac23f5cc3', 3233077);
INSERT INTO public._sqlx_migrations VALUES (60, 'erased', '2026-12-01 02:54:33.038049+00', true, '\x900e36425277b7dc2bf431319619a6008d722edb4996db9dfcda50ae9ebbc3b15ce2602875de23d28db51eee71073770', 1677670);


--
-- Data for Name: admin_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.admin_tokens VALUES ('t1', '\x0101010101010101010101010101010101010101010101010101010101010101', 'first', 1795262400000, NULL);


--
-- Data for Name: attempts_20261121; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.attempts_20261121 VALUES (2, 'call_01m7yzmhg10000000000000001.1', 1795262400001, 'claims-triage', 'premium', 'sonnet', 'provider', 'k1', 'serve', 'served', 'priced', 2100000, '{"input":700}', '{"attempt":"call_01m7yzmhg10000000000000001.1","at":1795262400001,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400101,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}', '');
INSERT INTO public.attempts_20261121 VALUES (3, 'call_01m7yzmhg20000000000000002.1', 1795262400002, 'claims-triage', 'premium', 'sonnet', 'provider', 'k1', 'serve', 'served', 'priced', 2100000, '{"input":700}', '{"attempt":"call_01m7yzmhg20000000000000002.1","at":1795262400002,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400102,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"provider_cost":4200000,"latency_ms":100,"first_token_ms":40,"decision":"premium: only model","counted":[{"name":"deal-commitment","amount":2100000}]}', '');
INSERT INTO public.attempts_20261121 VALUES (4, 'call_01m7yzmhg30000000000000003.1', 1795262400003, 'claims-triage', 'premium', 'sonnet', 'provider', 'k1', 'serve', 'served', 'priced', 2100000, '{"input":700}', '{"attempt":"call_01m7yzmhg30000000000000003.1","at":1795262400003,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400103,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}', '');


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit OVERRIDING SYSTEM VALUE VALUES (1, 1795262400000, 't1', 'key.create', 'ab');


--
-- Data for Name: batches; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.batches VALUES (2, '1.seg', 100, 300, 1, 4, 3, 1, 4, 3, '\x9a1a8d73f5b91271564c302311834351', '\x01b0ce668657c475054fb4240285354760d7fac06284579bd00ac6232fb9e311', 0, '\x00000000000000000000000000000000');
INSERT INTO public.batches VALUES (3, '(retention)', 0, 0, 4, 4, 0, 4, 4, 0, '\x31f1f49d3ad212b7bcb9cde598bc2791', '\x7ca80c817df7a1a6f13f673817d2d8949c786543b8c1f9d16385dd60d35156f6', 0, '\x00000000000000000000000000000000');
INSERT INTO public.batches VALUES (4, '(retention)', 0, 0, 4, 4, 0, 4, 4, 0, '\xd7058b31b762eb31bcf75a43e776c420', '\x9d701b1e4d01374e28d0da292654112064e46540bda480d7703b307ae22354f1', 0, '\x00000000000000000000000000000000');


--
-- Data for Name: books; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.books VALUES (1, 4, '\x9d701b1e4d01374e28d0da292654112064e46540bda480d7703b307ae22354f1', 0, 0, 4, 4, 0, 1, '\x7f7e50c397e9bf574059eb69cd045d486646bfaaf94fdd5e76f3fb6e83b1e5a0', 1795176000000, 1795089600000, '\x51210bed25a191f0c0cef1c6e9f0d1e9');


--
-- Data for Name: budget_approvals; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.budget_approvals OVERRIDING SYSTEM VALUE VALUES (1, 'workflow claims-triage', 'month', 'USD', 5000000000, NULL, 1795262400000, 't1');


--
-- Data for Name: calls_20261121; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.calls_20261121 VALUES (2, 'call_01m7yzmhg10000000000000001', 1795262400101, 'claims-triage', 'premium', 'sonnet', 'k1', 0, 2100000, '{"call":"call_01m7yzmhg10000000000000001","at":1795262400001,"ended_at":1795262400101,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
INSERT INTO public.calls_20261121 VALUES (3, 'call_01m7yzmhg20000000000000002', 1795262400102, 'claims-triage', 'premium', 'sonnet', 'k1', 0, 2100000, '{"call":"call_01m7yzmhg20000000000000002","at":1795262400002,"ended_at":1795262400102,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
INSERT INTO public.calls_20261121 VALUES (4, 'call_01m7yzmhg30000000000000003', 1795262400103, 'claims-triage', 'premium', 'sonnet', 'k1', 0, 2100000, '{"call":"call_01m7yzmhg30000000000000003","at":1795262400003,"ended_at":1795262400103,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');


--
-- Data for Name: captures; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.captures VALUES ('call_01m7yzmhg10000000000000001', 1797854400000, '{"request":"6 × 7?","answer":"42","until":1797854400000}');


--
-- Data for Name: cells; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.cells VALUES (1, 'claims-triage', 'sonnet', 'claude-sonnet', 'provider', 'eu', 'serve', 'served', 'input', 'provider/sonnet@2026-01-01', 3000000, 'reported');


--
-- Data for Name: cost_differences; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.cost_differences VALUES ('call_01m7yzmhg20000000000000002.1', 1795262400002, 'sonnet', 2100000, 4200000);


--
-- Data for Name: counted; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.counted VALUES ('deal-commitment', 1795262400000, 2100000);


--
-- Data for Name: erased; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.erased VALUES (1794960000000, 1, 1, '\x51210bed25a191f0c0cef1c6e9f0d1e9', '\x7800e53b9b249440dc29cf9022564e608ac5a9f29d271488c4957d9ea7df124f');


--
-- Data for Name: first_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.first_tokens VALUES (86400000, 1794960000000, 'claims-triage', 'premium', 'sonnet', 26, 1);
INSERT INTO public.first_tokens VALUES (60000, 1795262400000, 'claims-triage', 'premium', 'sonnet', 26, 3);
INSERT INTO public.first_tokens VALUES (3600000, 1795262400000, 'claims-triage', 'premium', 'sonnet', 26, 3);
INSERT INTO public.first_tokens VALUES (86400000, 1795219200000, 'claims-triage', 'premium', 'sonnet', 26, 3);


--
-- Data for Name: instance_spend; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.instance_spend VALUES (86400000, 1794960000000, '', 'claims-triage', 'k1', 2100000, 700);
INSERT INTO public.instance_spend VALUES (3600000, 1795262400000, '', 'claims-triage', 'k1', 6300000, 2100);
INSERT INTO public.instance_spend VALUES (86400000, 1795219200000, '', 'claims-triage', 'k1', 6300000, 2100);


--
-- Data for Name: instances; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.instances VALUES ('i_one', 'first', 'host 1:2', 1796093673232, 1796093703234, NULL);


--
-- Data for Name: intents; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.intents VALUES ('call_01m7yzmhg00000000000000009.1', 1795262400000, '{"attempt":"call_01m7yzmhg00000000000000009.1","at":1795262400000,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000}', '');


--
-- Data for Name: journal_20261121; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.journal_20261121 VALUES ('call_01m7yzmhg10000000000000001.1', 0, 'spend/claims-triage/serve', 2100000);
INSERT INTO public.journal_20261121 VALUES ('call_01m7yzmhg10000000000000001.1', 1, 'payable/provider', -2100000);
INSERT INTO public.journal_20261121 VALUES ('call_01m7yzmhg20000000000000002.1', 0, 'spend/claims-triage/serve', 2100000);
INSERT INTO public.journal_20261121 VALUES ('call_01m7yzmhg20000000000000002.1', 1, 'payable/provider', -2100000);
INSERT INTO public.journal_20261121 VALUES ('call_01m7yzmhg30000000000000003.1', 0, 'spend/claims-triage/serve', 2100000);
INSERT INTO public.journal_20261121 VALUES ('call_01m7yzmhg30000000000000003.1', 1, 'payable/provider', -2100000);


--
-- Data for Name: key_use; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.key_use VALUES ('k1', 1795262400103);


--
-- Data for Name: keys; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.keys VALUES ('ab', '\x0303030303030303030303030303030303030303030303030303030303030303', 'app', NULL, 0, NULL, NULL, 60, NULL, 1795262400000, NULL, NULL, '["5 USD per day"]');


--
-- Data for Name: lease_windows; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.lease_windows VALUES ('{"scope":{"workflow":"claims-triage"},"window":"total","measure":"usd"}', 0, NULL, 0);


--
-- Data for Name: leases; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.leases VALUES ('{"scope":{"workflow":"claims-triage"},"window":"total","measure":"usd"}', 0, '', 8400000, 8400000, 0);
INSERT INTO public.leases VALUES ('{"scope":{"workflow":"claims-triage"},"window":"total","measure":"usd"}', 0, 'i_one', 10400000, 8400000, 0);


--
-- Data for Name: meta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.meta VALUES ('leases_asked', 0);
INSERT INTO public.meta VALUES ('keys_revision', 3);


--
-- Data for Name: meters; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.meters VALUES (3600000, 1795003200000, 1, 1, 700, 2100000);
INSERT INTO public.meters VALUES (86400000, 1794960000000, 1, 1, 700, 2100000);
INSERT INTO public.meters VALUES (3600000, 1795262400000, 1, 3, 2100, 6300000);
INSERT INTO public.meters VALUES (86400000, 1795219200000, 1, 3, 2100, 6300000);


--
-- Data for Name: revisions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.revisions OVERRIDING SYSTEM VALUE VALUES (1, 'a', 1795262400000, '# a');


--
-- Data for Name: segments; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.segments VALUES ('1.seg', 300, 0, NULL, '');


--
-- Data for Name: sessions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.sessions VALUES ('\x0202020202020202020202020202020202020202020202020202020202020202', 't1', 1795262400000, 1795262400010);


--
-- Data for Name: spend; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.spend VALUES (86400000, 1794960000000, 'claims-triage', 'premium', 'sonnet', 'k1', 1, 2100000, 700, 0, 0, 0);
INSERT INTO public.spend VALUES (3600000, 1795262400000, 'claims-triage', 'premium', 'sonnet', 'k1', 3, 6300000, 2100, 0, 0, 0);
INSERT INTO public.spend VALUES (86400000, 1795219200000, 'claims-triage', 'premium', 'sonnet', 'k1', 3, 6300000, 2100, 0, 0, 0);


--
-- Data for Name: told; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.told VALUES ('provider', 1795219200000, '', 3, NULL, NULL, 6300000);


--
-- Data for Name: traffic; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.traffic VALUES (86400000, 1794960000000, 'claims-triage', 'premium', 'sonnet', 'k1', 1, 0, 2100000);
INSERT INTO public.traffic VALUES (60000, 1795262400000, 'claims-triage', 'premium', 'sonnet', 'k1', 3, 0, 6300000);
INSERT INTO public.traffic VALUES (3600000, 1795262400000, 'claims-triage', 'premium', 'sonnet', 'k1', 3, 0, 6300000);
INSERT INTO public.traffic VALUES (86400000, 1795219200000, 'claims-triage', 'premium', 'sonnet', 'k1', 3, 0, 6300000);


--
-- Name: attempts_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.attempts_seq', 4, true);


--
-- Name: audit_seq_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.audit_seq_seq', 1, true);


--
-- Name: budget_approvals_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.budget_approvals_id_seq', 1, true);


--
-- Name: calls_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.calls_seq', 4, true);


--
-- Name: cells_cell_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.cells_cell_seq', 1, true);


--
-- Name: revisions_seq_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.revisions_seq_seq', 1, true);


--
-- Name: _sqlx_migrations _sqlx_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);


--
-- Name: admin_tokens admin_tokens_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.admin_tokens
    ADD CONSTRAINT admin_tokens_pkey PRIMARY KEY (id);


--
-- Name: attempts attempts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (attempt);


--
-- Name: attempts_20261121 attempts_20261121_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts_20261121
    ADD CONSTRAINT attempts_20261121_pkey PRIMARY KEY (attempt);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (seq);


--
-- Name: batches batches_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (seq);


--
-- Name: books books_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.books
    ADD CONSTRAINT books_pkey PRIMARY KEY (one);


--
-- Name: budget_approvals budget_approvals_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.budget_approvals
    ADD CONSTRAINT budget_approvals_pkey PRIMARY KEY (id);


--
-- Name: calls calls_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (call);


--
-- Name: calls_20261121 calls_20261121_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.calls_20261121
    ADD CONSTRAINT calls_20261121_pkey PRIMARY KEY (call);


--
-- Name: captures captures_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.captures
    ADD CONSTRAINT captures_pkey PRIMARY KEY (call);


--
-- Name: cells cells_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cells
    ADD CONSTRAINT cells_pkey PRIMARY KEY (cell);


--
-- Name: cells cells_workflow_model_upstream_model_provider_region_cause_e_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cells
    ADD CONSTRAINT cells_workflow_model_upstream_model_provider_region_cause_e_key UNIQUE (workflow, model, upstream_model, provider, region, cause, end_kind, meter, price_row, price_pico, basis);


--
-- Name: cost_differences cost_differences_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cost_differences
    ADD CONSTRAINT cost_differences_pkey PRIMARY KEY (attempt);


--
-- Name: counted counted_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.counted
    ADD CONSTRAINT counted_pkey PRIMARY KEY (name, start);


--
-- Name: erased erased_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erased
    ADD CONSTRAINT erased_pkey PRIMARY KEY (start);


--
-- Name: first_tokens first_tokens_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.first_tokens
    ADD CONSTRAINT first_tokens_pkey PRIMARY KEY (width_ms, start, workflow, lane, model, bucket);


--
-- Name: instance_spend instance_spend_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.instance_spend
    ADD CONSTRAINT instance_spend_pkey PRIMARY KEY (width_ms, start, instance, workflow, key);


--
-- Name: instances instances_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.instances
    ADD CONSTRAINT instances_pkey PRIMARY KEY (instance);


--
-- Name: intents intents_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.intents
    ADD CONSTRAINT intents_pkey PRIMARY KEY (attempt);


--
-- Name: journal journal_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (attempt, line);


--
-- Name: journal_20261121 journal_20261121_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.journal_20261121
    ADD CONSTRAINT journal_20261121_pkey PRIMARY KEY (attempt, line);


--
-- Name: key_use key_use_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.key_use
    ADD CONSTRAINT key_use_pkey PRIMARY KEY (key);


--
-- Name: keys keys_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);


--
-- Name: lease_windows lease_windows_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease_windows
    ADD CONSTRAINT lease_windows_pkey PRIMARY KEY (budget, window_start);


--
-- Name: leases leases_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (budget, window_start, instance);


--
-- Name: meta meta_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);


--
-- Name: meters meters_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.meters
    ADD CONSTRAINT meters_pkey PRIMARY KEY (width_ms, start, cell);


--
-- Name: revisions revisions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_pkey PRIMARY KEY (seq);


--
-- Name: segments segments_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.segments
    ADD CONSTRAINT segments_pkey PRIMARY KEY (instance, name);


--
-- Name: sessions sessions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (hash);


--
-- Name: spend spend_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.spend
    ADD CONSTRAINT spend_pkey PRIMARY KEY (width_ms, start, workflow, lane, model, key);


--
-- Name: told told_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.told
    ADD CONSTRAINT told_pkey PRIMARY KEY (provider, start, model);


--
-- Name: traffic traffic_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.traffic
    ADD CONSTRAINT traffic_pkey PRIMARY KEY (width_ms, start, workflow, lane, model, key);


--
-- Name: attempts_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_by_time ON ONLY public.attempts USING btree (at);


--
-- Name: attempts_20261121_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_20261121_at_idx ON public.attempts_20261121 USING btree (at);


--
-- Name: attempts_at_most; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_at_most ON ONLY public.attempts USING btree (at) WHERE (cost_kind = 'at_most'::text);


--
-- Name: attempts_20261121_at_idx1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_20261121_at_idx1 ON public.attempts_20261121 USING btree (at) WHERE (cost_kind = 'at_most'::text);


--
-- Name: attempts_kept; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_kept ON ONLY public.attempts USING btree (at) WHERE (cause = ANY (ARRAY['keep'::text, 'batch'::text]));


--
-- Name: attempts_20261121_at_idx2; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_20261121_at_idx2 ON public.attempts_20261121 USING btree (at) WHERE (cause = ANY (ARRAY['keep'::text, 'batch'::text]));


--
-- Name: attempts_corrections; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_corrections ON ONLY public.attempts USING btree (at) WHERE (cause = 'correction'::text);


--
-- Name: attempts_20261121_at_idx3; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_20261121_at_idx3 ON public.attempts_20261121 USING btree (at) WHERE (cause = 'correction'::text);


--
-- Name: attempts_capacity; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_capacity ON ONLY public.attempts USING btree (at) WHERE (cause = 'capacity'::text);


--
-- Name: attempts_20261121_at_idx4; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_20261121_at_idx4 ON public.attempts_20261121 USING btree (at) WHERE (cause = 'capacity'::text);


--
-- Name: attempts_by_seq; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_by_seq ON ONLY public.attempts USING btree (seq);


--
-- Name: attempts_20261121_seq_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX attempts_20261121_seq_idx ON public.attempts_20261121 USING btree (seq);


--
-- Name: batches_by_attempts; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX batches_by_attempts ON public.batches USING btree (attempts_upto);


--
-- Name: batches_by_calls; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX batches_by_calls ON public.batches USING btree (calls_upto);


--
-- Name: calls_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_by_time ON ONLY public.calls USING btree (ended_at);


--
-- Name: calls_20261121_ended_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_ended_at_idx ON public.calls_20261121 USING btree (ended_at);


--
-- Name: calls_by_key; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_by_key ON ONLY public.calls USING btree (key, seq);


--
-- Name: calls_20261121_key_seq_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_key_seq_idx ON public.calls_20261121 USING btree (key, seq);


--
-- Name: calls_by_lane; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_by_lane ON ONLY public.calls USING btree (lane, seq);


--
-- Name: calls_20261121_lane_seq_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_lane_seq_idx ON public.calls_20261121 USING btree (lane, seq);


--
-- Name: calls_by_model; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_by_model ON ONLY public.calls USING btree (model, seq);


--
-- Name: calls_20261121_model_seq_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_model_seq_idx ON public.calls_20261121 USING btree (model, seq);


--
-- Name: calls_by_seq; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_by_seq ON ONLY public.calls USING btree (seq);


--
-- Name: calls_20261121_seq_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_seq_idx ON public.calls_20261121 USING btree (seq);


--
-- Name: calls_failed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_failed ON ONLY public.calls USING btree (seq) WHERE (failed = 1);


--
-- Name: calls_20261121_seq_idx1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_seq_idx1 ON public.calls_20261121 USING btree (seq) WHERE (failed = 1);


--
-- Name: calls_by_workflow; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_by_workflow ON ONLY public.calls USING btree (workflow, seq);


--
-- Name: calls_20261121_workflow_seq_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_20261121_workflow_seq_idx ON public.calls_20261121 USING btree (workflow, seq);


--
-- Name: captures_by_until; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX captures_by_until ON public.captures USING btree (until);


--
-- Name: cost_differences_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX cost_differences_by_time ON public.cost_differences USING btree (at);


--
-- Name: leases_by_instance; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leases_by_instance ON public.leases USING btree (instance);


--
-- Name: attempts_20261121_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_by_time ATTACH PARTITION public.attempts_20261121_at_idx;


--
-- Name: attempts_20261121_at_idx1; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_at_most ATTACH PARTITION public.attempts_20261121_at_idx1;


--
-- Name: attempts_20261121_at_idx2; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_kept ATTACH PARTITION public.attempts_20261121_at_idx2;


--
-- Name: attempts_20261121_at_idx3; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_corrections ATTACH PARTITION public.attempts_20261121_at_idx3;


--
-- Name: attempts_20261121_at_idx4; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_capacity ATTACH PARTITION public.attempts_20261121_at_idx4;


--
-- Name: attempts_20261121_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_pkey ATTACH PARTITION public.attempts_20261121_pkey;


--
-- Name: attempts_20261121_seq_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.attempts_by_seq ATTACH PARTITION public.attempts_20261121_seq_idx;


--
-- Name: calls_20261121_ended_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_by_time ATTACH PARTITION public.calls_20261121_ended_at_idx;


--
-- Name: calls_20261121_key_seq_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_by_key ATTACH PARTITION public.calls_20261121_key_seq_idx;


--
-- Name: calls_20261121_lane_seq_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_by_lane ATTACH PARTITION public.calls_20261121_lane_seq_idx;


--
-- Name: calls_20261121_model_seq_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_by_model ATTACH PARTITION public.calls_20261121_model_seq_idx;


--
-- Name: calls_20261121_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_pkey ATTACH PARTITION public.calls_20261121_pkey;


--
-- Name: calls_20261121_seq_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_by_seq ATTACH PARTITION public.calls_20261121_seq_idx;


--
-- Name: calls_20261121_seq_idx1; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_failed ATTACH PARTITION public.calls_20261121_seq_idx1;


--
-- Name: calls_20261121_workflow_seq_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.calls_by_workflow ATTACH PARTITION public.calls_20261121_workflow_seq_idx;


--
-- Name: journal_20261121_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.journal_pkey ATTACH PARTITION public.journal_20261121_pkey;


--
-- Name: budget_approvals approvals_changed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER approvals_changed AFTER INSERT ON public.budget_approvals FOR EACH STATEMENT EXECUTE FUNCTION public.keys_changed();


--
-- Name: keys keys_changed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keys_changed AFTER INSERT OR DELETE OR UPDATE ON public.keys FOR EACH STATEMENT EXECUTE FUNCTION public.keys_changed();


--
-- Name: meters meters_cell_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.meters
    ADD CONSTRAINT meters_cell_fkey FOREIGN KEY (cell) REFERENCES public.cells(cell);


--
-- Name: sessions sessions_token_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_token_fkey FOREIGN KEY (token) REFERENCES public.admin_tokens(id);


--
-- PostgreSQL database dump complete
--


