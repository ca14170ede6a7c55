/** Puts accounts into the user service's database, with passwords hashed as that service hashes them. */
import { randomBytes } from 'node:crypto'
import { hashPassword } from '@shop/service-kit/identity/password'
import type pg from 'pg'

export interface Account {
  email: string
  name: string
  role: 'customer' | 'admin'
  password: string
}

/** Two shoppers and an admin, with a password of 120 random bits each: nobody's password is in the source. */
export function generateAccounts(): Account[] {
  const password = () => randomBytes(15).toString('base64url')
  return [
    { email: 'ada@example.com', name: 'Ada Lovelace', role: 'customer', password: password() },
    { email: 'grace@example.com', name: 'Grace Hopper', role: 'customer', password: password() },
    { email: 'admin@example.com', name: 'Shop Admin', role: 'admin', password: password() },
  ]
}

/** An account that is already there keeps its id and gets the name, role and password given here. */
export async function seedAccounts(client: pg.Client, accounts: readonly Account[]) {
  for (const { email, name, role, password } of accounts) {
    await client.query(
      `INSERT INTO users (id, email, name, password_hash, role, updated_at)
       VALUES (gen_random_uuid(), $1, $2, $3, $4, now())
       ON CONFLICT (email) DO UPDATE SET
         name = excluded.name, password_hash = excluded.password_hash, role = excluded.role, updated_at = now()`,
      [email.toLowerCase(), name, await hashPassword(password), role],
    )
  }
}
