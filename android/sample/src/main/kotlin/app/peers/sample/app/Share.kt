package app.peers.sample.app

import android.content.Context
import android.content.Intent

/** Offers [text] to the other apps of the phone. */
internal fun Context.share(text: String) {
    val send = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, text)
    startActivity(Intent.createChooser(send, null).addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
}
