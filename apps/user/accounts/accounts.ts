/** The rules of accounts: one per e-mail address, and only its owner's password opens it. */
import type { Registration, User } from '@shop/contracts/user'
import { hashPassword, verifyPassword } from '@shop/service-kit/identity/password'
import { errors } from '../errors.ts'
import { type Account, type AccountStore, publicUser } from './store.ts'

export function createAccounts(store: AccountStore) {
  return { register, find, isOwner, profile, rename }

  async function register({ email, name, password }: Registration): Promise<User> {
    const account = await store.add({
      email: normalEmail(email),
      name: name.trim(),
      passwordHash: await hashPassword(password),
    })
    if (account === 'email-taken') throw errors.emailTaken()
    return publicUser(account)
  }

  async function find(email: string): Promise<Account | undefined> {
    return (await store.byEmail(normalEmail(email))) ?? undefined
  }

  /** Takes as long without an account as with a wrong password: the time does not tell who has an account. */
  function isOwner(account: Account | undefined, password: string): Promise<boolean> {
    return verifyPassword(password, account?.passwordHash)
  }

  async function profile(id: string): Promise<User> {
    const account = await store.byId(id)
    if (!account) throw errors.accountGone()
    return publicUser(account)
  }

  async function rename(id: string, name: string): Promise<User> {
    const account = await store.rename(id, name.trim())
    if (!account) throw errors.accountGone()
    return publicUser(account)
  }
}

export type Accounts = ReturnType<typeof createAccounts>

/** Addresses are compared without regard to case: nobody has two accounts because of a capital letter. */
export function normalEmail(email: string): string {
  return email.trim().toLowerCase()
}
