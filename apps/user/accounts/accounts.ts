/** The rules of accounts: one per e-mail address, and only its owner's password opens it. */
import type { Credentials, Registration, User } from '@shop/contracts/user'
import { hashPassword, verifyPassword } from '@shop/service-kit/password'
import { errors } from '../errors.ts'
import { type Account, type AccountStore, publicUser } from './store.ts'

export function createAccounts(store: AccountStore) {
  return { register, verify, profile, rename }

  async function register({ email, name, password }: Registration): Promise<User> {
    const account = await store.add({
      email: normalEmail(email),
      name: name.trim(),
      passwordHash: await hashPassword(password),
    })
    if (account === 'email-taken') throw errors.emailTaken()
    return publicUser(account)
  }

  /** The account, if the password is right. Takes as long when there is no such account as when the password is wrong. */
  async function verify({ email, password }: Credentials): Promise<Account> {
    const account = await store.byEmail(normalEmail(email))
    const isRight = await verifyPassword(password, account?.passwordHash)
    if (!account || !isRight) throw errors.credentialsWrong()
    return account
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
