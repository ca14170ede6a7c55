-- Trusted: whoever may create in this database may install it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- What a search by words looks at. Names twice: stemmed, so that "shirts" finds a shirt, and as written, so that a word that is still
-- being typed finds what begins with it. Kept in the row, since ranking needs it for every row that fits. Changes with name and
-- description only: a sale still rewrites its row in place (HOT).
ALTER TABLE "products" ADD COLUMN "search" tsvector GENERATED ALWAYS AS (
    setweight(to_tsvector('english', "name"), 'A') ||
    setweight(to_tsvector('simple', "name"), 'A') ||
    setweight(to_tsvector('english', "description"), 'C')
) STORED;

CREATE INDEX "products_search_idx" ON "products" USING gin ("search");

-- Parts of names: "board" in "Skateboard".
CREATE INDEX "products_name_idx" ON "products" USING gin ("name" gin_trgm_ops);

-- The words of all names, to find the one that was meant. A few thousand for any number of products, where the similarity of a text to
-- each of a hundred thousand names takes most of a second.
CREATE TABLE "product_words" (
    "word" TEXT NOT NULL,

    CONSTRAINT "product_words_pkey" PRIMARY KEY ("word")
);

CREATE INDEX "product_words_word_idx" ON "product_words" USING gin ("word" gin_trgm_ops);

CREATE FUNCTION "words_of"("name" text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT word FROM regexp_split_to_table(lower("name"), '[^[:alpha:]]+') AS word WHERE length(word) BETWEEN 3 AND 40 $$;

-- By trigger, for products are written in several places. Words stay when their last product goes: one that finds nothing does no harm.
-- In the order of the alphabet, so that two transactions with the same new words do not wait for each other.
CREATE FUNCTION "remember_words"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO product_words SELECT DISTINCT word FROM added, words_of(added.name) AS word
        ORDER BY word ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO product_words SELECT DISTINCT word FROM words_of(NEW.name) AS word
        ORDER BY word ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER "remember_new_words" AFTER INSERT ON "products"
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "remember_words"();

CREATE TRIGGER "remember_changed_words" AFTER UPDATE OF "name" ON "products"
    FOR EACH ROW WHEN (OLD."name" IS DISTINCT FROM NEW."name") EXECUTE FUNCTION "remember_words"();

INSERT INTO "product_words" SELECT DISTINCT word FROM "products", "words_of"("products"."name") AS word ORDER BY word;
